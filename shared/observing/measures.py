"""What one service counts beside what all do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nats.aio.msg import Msg

from shared.messages import Message

if TYPE_CHECKING:  # who asks for no metrics loads no library for them
    from shared.observing.asking import Ask
    from shared.observing.handling import Handling
    from shared.observing.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Measures:
    published: "Callable[[Message, Handling], None] | None" = None
    """Told of each event that is new to the stream, and of the message that caused it."""
    staged: Callable[[str, float], None] | None = None
    """Told of each stage of longer work, and its seconds."""
    asks: "Sequence[Ask]" = ()
    heard: Mapping[str, Callable[[Msg], None]] = field(default_factory=dict)
    """By subject: told of events as they are published."""


Measure = Callable[["Metrics"], Measures]
