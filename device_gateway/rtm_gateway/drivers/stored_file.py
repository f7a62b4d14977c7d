"""A file of a sensor's memory on its way here: bytes put together by offset, over as many links as it takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class StoredFile:
    """How far a file has come. `end`: the offset after the last byte wanted, None for the whole file."""

    key: str
    received: int = 0
    """Bytes that have come without a hole, from the file's beginning."""
    end: int | None = None
    holes: int = 0
    """Pieces that came after a hole; they must be sent again."""

    def take(self, offset: int, data: bytes) -> bytes:
        """The bytes that continue the file: what came before is dropped, what follows a hole too."""
        if offset > self.received:
            self.holes += 1
            return b""
        new = data[self.received - offset :]
        self.received += len(new)
        return new

    @property
    def complete(self) -> bool:
        """Everything that was wanted is here."""
        return self.end is not None and self.received >= self.end
