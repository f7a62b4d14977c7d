"""Short pieces of a recording by their content: the same samples sent again are found wherever they stand.

Winnowing (Schleimer, Wilkerson and Aiken, SIGMOD 2003): a rolling hash over every window of 64 samples, of which the
least in every ten seconds is kept. What is kept depends on the samples alone, so chunk borders, indices, times, names
and the sensor do not matter, and two recordings with ten seconds of movement in common keep one window in common.
Only the accelerometer's three axes as received are looked at: every recording has them, whatever else it has.

Pure: arrays in, keyed hashes out. `docs/explanation/replays.md` tells what is not found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

GUARANTEE_S: Final = 10.0
"""A piece at least this long is found, by the clock of each of the two recordings."""
WINDOW: Final = 64
"""Samples of a window: real noise on three axes never repeats so long."""
_SLOWEST_HZ, _FASTEST_HZ = 10.0, 400.0
"""What a recording says of its rate is believed between these: it neither thins the pieces out nor multiplies them."""

# A sensor at rest that is coarse enough repeats itself: nothing, or a pattern of a few samples, over and over. A window
# counts only if half of its samples differ from each of the eight before them.
_LAGS: Final = 8
_LEAST_NEW: Final = (WINDOW - _LAGS) // 2

_U64 = NDArray[np.uint64]
# Odd constants with bits all over (the first digits of the roots of 2, 3 and 5, made odd); the base of the polynomial.
_AXES: Final = np.array([0x6A09E667F3BCC909, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B], dtype=np.uint64)
_BASE: Final = 0x9E3779B97F4A7C15
_NONE: Final = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


@dataclass(frozen=True, slots=True)
class Track:
    """Samples of one accelerometer as received.

    raw: (n, 3) int16 or float32, x, y, z; index: (n,) sample numbers, rising; t: (n,) s after the recording's start.
    """

    raw: NDArray[Any]
    index: NDArray[np.int64]
    t: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Piece:
    """A window that is kept. hash: signed 64 bits; start_s, end_s: of its first and last sample."""

    hash: int
    start_s: float
    end_s: float


def pieces(tracks: Iterable[Track], key: bytes) -> list[Piece]:
    """The windows of a recording that are kept. key: up to 64 bytes; without it nothing can be told from a hash."""
    return [piece for track in tracks for piece in _of(track, key)]


def repeated(found: Sequence[Piece]) -> list[Piece]:
    """Those of one recording whose samples stand in it more than once, the first time left out."""
    seen: set[int] = set()
    again = []
    for piece in sorted(found, key=lambda each: each.start_s):
        if piece.hash in seen:
            again.append(piece)
        seen.add(piece.hash)
    return again


def spans(found: Iterable[Piece]) -> list[tuple[float, float]]:
    """Pieces that follow each other as the pieces of one copy do, as spans in seconds."""
    joined: list[tuple[float, float]] = []
    for piece in sorted(found, key=lambda each: each.start_s):
        if joined and piece.start_s - joined[-1][1] <= GUARANTEE_S:
            joined[-1] = (joined[-1][0], max(joined[-1][1], piece.end_s))
        else:
            joined.append((piece.start_s, piece.end_s))
    return joined


def _of(track: Track, key: bytes) -> Iterable[Piece]:
    """A missing sample ends a run: what is on both sides of it was never one piece."""
    if len(track.t) < WINDOW:
        return
    period_s = float(np.median(np.diff(track.t)))
    breaks = np.flatnonzero(np.diff(track.index) != 1) + 1
    for run in np.split(np.arange(len(track.index)), breaks):
        if len(run) < WINDOW:
            continue
        raw = np.ascontiguousarray(track.raw[run[0] : run[-1] + 1])
        for at in _kept(_window_hashes(raw), period_s):
            digest = hashlib.blake2b(raw[at : at + WINDOW].tobytes(), digest_size=8, key=key).digest()
            first, last = run[0] + at, run[0] + at + WINDOW - 1
            yield Piece(
                int.from_bytes(digest, "big", signed=True), float(track.t[first]), float(track.t[last])
            )


def _window_hashes(raw: NDArray[Any]) -> _U64:
    """(n - WINDOW + 1,) one hash a window; the greatest number where a window says too little to be known again."""
    rows = _rows(raw)
    powers = _powers(len(rows), _BASE)
    inverse = _powers(len(rows), pow(_BASE, -1, 1 << 64))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(rows * powers, dtype=np.uint64)])
    hashes = _mixed((sums[WINDOW:] - sums[:-WINDOW]) * inverse[: len(rows) - WINDOW + 1])
    new = np.ones(len(rows), dtype=bool)
    for lag in range(1, _LAGS + 1):
        new[lag:] &= rows[lag:] != rows[:-lag]
    counted = np.concatenate([[0], np.cumsum(new)])
    telling = counted[WINDOW:] - counted[_LAGS : len(rows) - WINDOW + 1 + _LAGS] >= _LEAST_NEW
    return np.where(telling, np.minimum(hashes, _NONE - np.uint64(1)), _NONE)


def _kept(hashes: _U64, period_s: float) -> list[int]:
    """Places of the windows that are the least of some stretch of the guaranteed length (of all, if it is shorter)."""
    rate_hz = min(max(1 / period_s, _SLOWEST_HZ), _FASTEST_HZ) if period_s > 0 else _FASTEST_HZ
    stretch = max(1, min(len(hashes), round(GUARANTEE_S * rate_hz) - WINDOW + 1))
    least = _sliding(np.minimum, hashes, stretch, _NONE)
    # A window is kept when it is the least of one of the stretches that hold it: none of them has a greater least.
    edge = np.zeros(stretch - 1, dtype=np.uint64)
    greatest = _sliding(np.maximum, np.concatenate([edge, least, edge]), stretch, np.uint64(0))
    return [int(at) for at in np.flatnonzero((hashes == greatest) & (hashes != _NONE))]


def _sliding(best: np.ufunc, values: _U64, width: int, neutral: np.uint64) -> _U64:
    """The best of every `width` values in a row, whatever the width at the same cost (van Herk 1992)."""
    n = len(values)
    padded = np.concatenate([values, np.full(-n % width, neutral)]).reshape(-1, width)
    forth = best.accumulate(padded, axis=1).ravel()
    back = best.accumulate(padded[:, ::-1], axis=1)[:, ::-1].ravel()
    made: _U64 = best(back[: n - width + 1], forth[width - 1 : n])
    return made


def _rows(raw: NDArray[Any]) -> _U64:
    """(n,) a hash a sample. Floats are taken by their bits."""
    bits = raw.view(np.uint32) if raw.dtype == np.float32 else raw.astype(np.int64).view(np.uint64)
    return _mixed((bits.astype(np.uint64) * _AXES).sum(axis=1, dtype=np.uint64))


def _powers(n: int, base: int) -> _U64:
    """(n,) base^0, base^1, ... modulo 2^64."""
    powers = np.full(n, base, dtype=np.uint64)
    powers[0] = 1
    made: _U64 = np.cumprod(powers, dtype=np.uint64)
    return made


def _mixed(x: _U64) -> _U64:
    """Every bit of the input moves half of the output (the finalizer of SplitMix64, Steele et al. 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    made: _U64 = x ^ (x >> np.uint64(31))
    return made
