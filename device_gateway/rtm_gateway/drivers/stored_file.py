"""A file of a sensor's memory on its way here: bytes put together by offset, over as many links as it takes."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

_BY_CHANCE: Final = 1 << 31
"""Numbers from the gateway's clock do not reach this bit before 2038 (`rtm_gateway.boot_number`)."""


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


@dataclass(slots=True)
class FileBoots:
    """Boot numbers of a file's samples, alike whenever it is read: they follow from the samples it begins with.

    So what is stored of a file stays the same samples when a broken reading, or another gateway process,
    begins anew; and a sensor that uses a file's name again has written another file.
    """

    _last: int | None = None

    def note(self, samples: bytes) -> None:
        """The bytes of a packet, its time stamp among them, before it is given an index; the first one counts."""
        if self._last is None:
            self._last = zlib.crc32(samples)

    def __call__(self) -> int:
        self._last = zlib.crc32((self._last or 0).to_bytes(4, "little"))
        return self._last | _BY_CHANCE
