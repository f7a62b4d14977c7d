"""What a decoder finds among the notifications besides samples."""

from __future__ import annotations

from typing import NamedTuple


class Reply(NamedTuple):
    """An answer or an event. The meaning of `kind` and `ref` is the profile's own."""

    kind: int
    ref: int
    data: bytes
    arrival_ns: int
