"""Steps of handlers: every call of a part is one, so that a test can end a process between any two of them.

Two variables of the environment, both unset in production, where a part stays what it is:

    MODELKIN_DIE_AT    steps, ',' between them: the process ends itself, as by SIGKILL, at the first of them that it
                       passes. `store.decide:before`, `store.decide:after`; with `#3`, at the third time
    MODELKIN_STEPS_TO  a file: the name of each step that the process passes is appended once, and `died at <step>`
"""

import inspect
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import cache, partial
from typing import Any, Final, TypeVar, cast

Part = TypeVar("Part")

DIE_AT: Final = "MODELKIN_DIE_AT"
STEPS_TO: Final = "MODELKIN_STEPS_TO"
DIED_AT: Final = "died at "


class Steps:
    """The steps that a process has passed."""

    def __init__(self, die_at: str, steps_to: str, die: Callable[[], None]) -> None:
        self._fatal = dict(_step_and_time(one) for one in die_at.split(",") if one)
        self._to = steps_to
        self._die = die
        self._passed: Counter[str] = Counter()

    def __call__(self, step: str) -> None:
        """Pass a step, or end there."""
        self._passed[step] += 1
        if self._passed[step] == 1:
            self._tell(step)
        if self._fatal.get(step) == self._passed[step]:
            self._tell(f"{DIED_AT}{step}")
            self._die()

    def _tell(self, line: str) -> None:
        """In one write each, for several processes append to the file."""
        if not self._to:
            return
        file = os.open(self._to, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(file, f"{line}\n".encode())
        finally:
            os.close(file)


def _step_and_time(text: str) -> tuple[str, int]:
    step, _, time = text.partition("#")
    return step, int(time or 1)


def _kill_this_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def steps_of(environment: Mapping[str, str]) -> Steps | None:
    """What the environment asks for; None where it asks for nothing."""
    die_at, steps_to = environment.get(DIE_AT, ""), environment.get(STEPS_TO, "")
    return Steps(die_at, steps_to, _kill_this_process) if die_at or steps_to else None


@cache
def steps_of_process() -> Steps | None:
    """Those of this process, from its environment as it is when they are first asked for."""
    return steps_of(os.environ)


def stepped(name: str, part: Part, steps: Steps | None = None) -> Part:
    """The part, or where a test says so, the part with a step before and after each call of its that is awaited."""
    steps = steps or steps_of_process()
    if steps is None or inspect.isroutine(part):
        return part
    return cast("Part", _Stepped(name, part, steps))


class _Stepped:
    """Looks like the part."""

    def __init__(self, name: str, part: object, steps: Steps) -> None:
        self._step_name = name
        self._step_part = part
        self._steps = steps

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(self._step_part, attribute)
        if attribute.startswith("_"):
            return value
        name = f"{self._step_name}.{attribute}"
        if inspect.iscoroutinefunction(value):
            return partial(_awaited, name, value, self._steps)
        if inspect.isasyncgenfunction(value):
            return partial(_iterated, name, value, self._steps)
        return value


async def _awaited(name: str, method: Callable[..., Awaitable[Any]], steps: Steps, /, *args: Any, **named: Any) -> Any:
    steps(f"{name}:before")
    value = await method(*args, **named)
    steps(f"{name}:after")
    return value


async def _iterated(
    name: str, method: Callable[..., AsyncIterator[Any]], steps: Steps, /, *args: Any, **named: Any
) -> AsyncIterator[Any]:
    """Each item that is asked for is a call, and so is finding that there is none."""
    items = method(*args, **named)
    while True:
        steps(f"{name}:before")
        item = await anext(items, None)
        steps(f"{name}:after")
        if item is None:
            return
        yield item
