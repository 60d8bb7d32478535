"""Bars on standard error, where that is a terminal; elsewhere they show nothing."""

from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


class _Shown:
    """Something that is drawn for the time of a block."""

    def __init__(self, *columns: ProgressColumn, transient: bool) -> None:
        screen = Console(stderr=True)
        self._drawn = Progress(*columns, console=screen, transient=transient, disable=not screen.is_terminal)

    def __enter__(self) -> Self:
        self._drawn.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._drawn.stop()


class Bar(_Shown):
    """One bar, gone when it is done."""

    def __init__(self, what: str, *columns: ProgressColumn) -> None:
        super().__init__(*columns, transient=True)
        self._task = self._drawn.add_task(what, total=None)

    def begin(self, total: int) -> None:
        self._drawn.update(self._task, total=total)

    def advance(self, more: int) -> None:
        self._drawn.update(self._task, advance=more)

    def show(self, done: int, total: int) -> None:
        self._drawn.update(self._task, completed=done, total=total)

    def say(self, what: str) -> None:
        self._drawn.update(self._task, description=what)


def bar_of_events(what: str) -> Bar:
    return Bar(what, _what(), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


def bar_of_bytes(what: str) -> Bar:
    return Bar(what, _what(), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn())


def bar_of_an_import(what: str) -> Bar:
    """That of bytes, with a sign of life while there are none."""
    return Bar(what, SpinnerColumn(), _what(), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn())


class Steps(_Shown):
    """A bar for each thing that is done; they stay."""

    def __init__(self) -> None:
        percent = TextColumn("{task.percentage:>3.0f} %")
        super().__init__(_what(), BarColumn(), percent, TimeElapsedColumn(), transient=False)
        self._task: TaskID | None = None

    def __exit__(self, *error: object) -> None:
        self._end()
        super().__exit__(*error)

    def begin(self, what: str, total: int | None) -> None:
        self._end()
        self._task = self._drawn.add_task(what, total=total)

    def advance(self, more: int) -> None:
        if self._task is not None:
            self._drawn.advance(self._task, more)

    def _end(self) -> None:
        if self._task is not None:
            done = self._drawn.tasks[self._task].completed
            self._drawn.update(self._task, total=max(done, 1), completed=max(done, 1))


def _what() -> TextColumn:
    return TextColumn("{task.description}")
