"""Bytes on their way: read once, digested, and handed on."""

import hashlib
from collections.abc import Callable
from typing import BinaryIO

from services.importer.domain import Unacceptable
from services.importer.ports import Blob
from shared.values import Reason

# From the measured flattening of copy speed; also the memory that a pass needs.
CHUNK_BYTES = 1024 * 1024
# Most files are small: for them, to make room for a whole chunk takes longer than all that is done with it.
FIRST_CHUNK_BYTES = 64 * 1024
# A pass returns to the event loop this often, to report progress and to hear that it must stop.
SLICE_BYTES = 64 * CHUNK_BYTES


class Pass:
    """One pass over bytes. Blocks: advance it off the event loop."""

    def __init__(self, content: BinaryIO, hand_on: Callable[[memoryview], object] = lambda _: None) -> None:
        self.finished = False
        self._content = content
        self._hand_on = hand_on
        self._digest = hashlib.sha256()
        self._size_bytes = 0
        self._buffer = memoryview(bytearray(min(FIRST_CHUNK_BYTES, CHUNK_BYTES)))

    @property
    def blob(self) -> Blob:
        """What went by so far; at the end, what `content` holds."""
        return Blob(f"sha256:{self._digest.hexdigest()}", self._size_bytes)

    def advance(self) -> int:
        """Read up to a slice; returns how many bytes it was.

        Raises:
            Unacceptable: they cannot be read.
        """
        before = self._size_bytes
        while not self.finished and self._size_bytes - before < SLICE_BYTES:
            if self._size_bytes >= FIRST_CHUNK_BYTES and len(self._buffer) < CHUNK_BYTES:
                self._buffer = memoryview(bytearray(CHUNK_BYTES))
            chunk = self._buffer[: self._read(self._buffer)]
            self._digest.update(chunk)
            self._hand_on(chunk)
            self._size_bytes += len(chunk)
            self.finished = not chunk
        return self._size_bytes - before

    def _read(self, buffer: memoryview) -> int:
        try:
            return self._content.readinto(buffer) or 0  # type: ignore[attr-defined]  # ports.Opener
        except OSError as error:
            message = f"a file of the package cannot be read: {error.strerror}"
            raise Unacceptable(Reason.LOCATION_UNREADABLE, message) from error
