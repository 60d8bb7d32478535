"""What a person is told when something goes wrong."""


class ModelkinError(Exception):
    """What went wrong, on one line."""
