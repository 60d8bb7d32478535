"""The model folders that the load imports from: small, some with equal bytes, some that break a rule."""

import random
from pathlib import Path

from tests.packages import valid_package

SHARED = 12
PICKLE_THAT_RUNS = b"cos\nsystem\n(S'true'\ntR."


class Folders:
    """Made before the load, and more of them while it runs. Their contents follow from the seed."""

    def __init__(self, root: Path, choices: random.Random) -> None:
        self._root = root
        self._choices = choices
        self._made = 0

    def prepare(self) -> None:
        for number in range(SHARED):
            self._write(f"shared-{number}", {"weights.txt": self._bytes(60_000), "notes.md": b"equal in all"})
            package = valid_package("PyTorch") | {"model/about.txt": self._bytes(2_000)}
            self._write(f"package-{number}", package)
        self._write("unsafe", {"model.pkl": PICKLE_THAT_RUNS})
        self._write("no-package", {"weights.txt": b"no model folder"})

    def shared(self) -> str:
        """One that others import too: its bytes are kept once."""
        return self.location(f"shared-{self._choices.randrange(SHARED)}")

    def package(self) -> str:
        return self.location(f"package-{self._choices.randrange(SHARED)}")

    def fresh(self) -> str:
        """One whose bytes nobody else has."""
        self._made += 1
        name = f"fresh-{self._made}"
        self._write(name, {"weights.txt": self._bytes(6_000), "notes.md": b"equal in all"})
        return self.location(name)

    def location(self, name: str) -> str:
        return f"file://{self._root / name}"

    def _write(self, name: str, files: dict[str, bytes]) -> None:
        for path, content in files.items():
            file = self._root / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    def _bytes(self, size_bytes: int) -> bytes:
        return self._choices.randbytes(size_bytes)
