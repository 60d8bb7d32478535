"""A small file system of its own for the artifact store, which can be full."""

import errno
import subprocess
from dataclasses import dataclass
from pathlib import Path

SIZE_BYTES = 64 * 1024 * 1024
FILL_STEP_BYTES = 1024 * 1024


@dataclass(slots=True)
class Disk:
    """Mounted in memory, where that is allowed; else a folder that is never full."""

    folder: Path
    why_not: str = ""
    """Why it cannot be full; empty where it can."""

    @property
    def _filler(self) -> Path:
        return self.folder / "filler"

    def mount(self) -> None:
        self.folder.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "chaos", str(self.folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            self.why_not = f"no mount: {error}"
            return
        self.why_not = done.stderr.strip() if done.returncode else ""

    def unmount(self) -> None:
        if not self.why_not:
            subprocess.run(["umount", "--lazy", str(self.folder)], capture_output=True, check=False)

    def fill(self) -> None:
        """Not a byte is left."""
        with self._filler.open("ab", buffering=0) as filler:
            for size_bytes in (FILL_STEP_BYTES, 4096, 1):
                try:
                    while True:
                        filler.write(bytes(size_bytes))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)
