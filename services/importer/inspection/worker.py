"""Inspection in processes of their own, so that a hostile file takes neither the importer's memory nor its time."""

import contextlib
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_process
from anyio import BrokenWorkerProcess, CapacityLimiter

from services.importer.domain import Refusal, Unacceptable
from services.importer.inspection.inspect import Findings, Inspection, is_worth_it, unjudged
from services.importer.ports import FoundFile
from shared.contents import Contents
from shared.errors import Transient

DEFAULT_TIMEOUT_S = 300.0
DEFAULT_MEMORY_BYTES = 1024**3
# After so long a worker reports, so that what is left is known when one of the next files kills it.
_SLICE_S = 1.0


@dataclass(frozen=True, slots=True)
class _Slice:
    """What a worker has done of a package."""

    findings: Findings
    done: int
    failure: Refusal | str | None = None
    """Why a file could not be opened: for good, or for now."""


class ProcessInspector:
    """An Inspector. Its processes are kept and used again; one that takes too long is killed.

    Args:
        timeout_s: for all files of a package.
        memory_bytes: that a process may take beyond what it has at its start.
        processes: at most so many at once, shared by all packages.
    """

    def __init__(
        self, timeout_s: float = DEFAULT_TIMEOUT_S, memory_bytes: int = DEFAULT_MEMORY_BYTES, processes: int = 2
    ) -> None:
        self._timeout_s = timeout_s
        self._memory_bytes = memory_bytes
        self._packages = CapacityLimiter(processes)
        self._processes = CapacityLimiter(processes)

    async def inspect(self, files: Sequence[FoundFile]) -> Contents:
        worth = [file for file in files if is_worth_it(file)]
        findings = Findings()
        if worth:
            await self._inspect(files, worth, findings)
        return findings.contents()

    async def _inspect(self, files: Sequence[FoundFile], worth: Sequence[FoundFile], findings: Findings) -> None:
        done, alone = 0, False
        async with self._packages:  # waiting is not what the time is for
            with anyio.move_on_after(self._timeout_s) as scope:
                while done < len(worth):
                    try:
                        part = await self._slice(files, worth[done : done + 1] if alone else worth[done:])
                    except BrokenWorkerProcess:
                        if alone:
                            _note(findings, worth[done : done + 1], "the process that looked at it died")
                            done += 1
                        alone = not alone
                        continue
                    findings.add(part.findings)
                    done, alone = done + part.done, False
                    _raise(part.failure)
        if scope.cancelled_caught:
            why = f"could not be judged within {self._timeout_s:g} s, which is the limit for all files of a package"
            _note(findings, worth[done:], why)

    async def _slice(self, files: Sequence[FoundFile], some: Sequence[FoundFile]) -> _Slice:
        arguments = tuple(files), tuple(some), self._memory_bytes
        return await anyio.to_process.run_sync(_inspect_some, *arguments, cancellable=True, limiter=self._processes)


def _note(findings: Findings, files: Sequence[FoundFile], why: str) -> None:
    findings.unsafe += [found for file in files if (found := unjudged(file, why))]


def _raise(failure: Refusal | str | None) -> None:
    match failure:
        case Refusal(reason, message, faults):
            raise Unacceptable(reason, message, faults)
        case str():
            raise Transient(failure)


def _inspect_some(files: tuple[FoundFile, ...], some: tuple[FoundFile, ...], memory_bytes: int) -> _Slice:
    """Runs in the worker: the next files, at least one, until a slice of time is over."""
    _limit(memory_bytes)
    package, findings, end = Inspection(files), Findings(), time.monotonic() + _SLICE_S
    for done, file in enumerate(some, start=1):
        try:
            findings.add(package.look_at(file))
        except Unacceptable as error:
            return _Slice(findings, done, error.refusal)
        except Transient as error:
            return _Slice(findings, done, str(error))
        if time.monotonic() > end:
            return _Slice(findings, done)
    return _Slice(findings, len(some))


_limited = False


def _limit(memory_bytes: int) -> None:
    """Once in the life of a worker. Neither may it write a file, and where memory runs out it is the first to go."""
    global _limited  # noqa: PLW0603  # a limit of the process
    if not _limited:
        has_bytes = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
        resource.setrlimit(resource.RLIMIT_AS, (has_bytes + memory_bytes, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        _limited = True
