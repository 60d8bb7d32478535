"""Errors every service shares. A business refusal is an event, not an error."""


class Transient(Exception):
    """Not this message's fault: a store or the broker is away, a race was lost. Delivered again until it works."""


class NotYet(Transient):
    """What this is about is not there yet: it is on its way."""


class Malformed(Exception):
    """A message that cannot be understood, however often it is read. Goes to the dead letters at once."""


class Deadly(Exception):
    """A message that processes do not survive. Goes to the dead letters before it is worked on once more."""

    def __init__(self, delivered: int, begun: int, alone: int) -> None:
        """`begun` so often in a row and never ended, `alone` times of these with nothing else in hand."""
        super().__init__(
            f"delivered {delivered} times, {begun} of them in a row without an answer: the process that worked on it ended"
            f" before it was done, {alone} times with nothing else in hand; it may kill the process that works on it"
        )


class Refused(Exception):
    """What is asked for cannot be: says why, by a code for programs and a sentence for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NotFound(Refused):
    """A query asked for something that is not there."""
