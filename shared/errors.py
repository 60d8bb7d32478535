"""Errors every service shares. A business refusal is an event, not an error."""


class Transient(Exception):
    """Not this message's fault: a store or the broker is away, a race was lost. Delivered again until it works."""


class Malformed(Exception):
    """A message that cannot be understood, however often it is read. Goes to the dead letters at once."""


class NotFound(Exception):
    """A query asked for something that is not there."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
