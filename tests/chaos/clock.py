"""A clock that jumps, by libfaketime; the monotonic one goes on as it should.

`time.sleep` of Python 3.11 fails beside it with EINVAL; probes.py gives the processes another.
"""

from dataclasses import dataclass, field
from pathlib import Path

LIBRARIES = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/local/lib/faketime/libfaketime.so.1")


def _library() -> Path | None:
    found = [path for pattern in LIBRARIES for path in Path("/").glob(pattern.lstrip("/"))]
    return found[0] if found else None


@dataclass(slots=True)
class Clock:
    """What time it is for the processes that are started with `environment`."""

    file: Path
    library: Path | None = field(default_factory=_library)

    @property
    def why_not(self) -> str:
        """Why it cannot jump; empty where it can."""
        return "" if self.library else "libfaketime is not installed (apt-get install faketime)"

    @property
    def environment(self) -> dict[str, str]:
        if self.library is None:
            return {}
        self.jump(0)
        return {
            "LD_PRELOAD": str(self.library),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def jump(self, by_s: int) -> None:
        """So many seconds from the true time, within a second."""
        self.file.write_text(f"{by_s:+d}s\n", encoding="ascii")
