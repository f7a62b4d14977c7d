"""What every driver must pass: `check(driver_type, captures)`.

A capture is what a sensor sent, notification by notification, with the samples it holds. The kit decodes it
as it is, cut, merged, doubled, reordered and damaged, and demands: no exception, no sample that is not in the
capture, no sample twice, every bad notification counted, and the truth undisturbed when nothing was damaged.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count, pairwise

import numpy as np
from numpy.typing import NDArray

from rtm_gateway.drivers.driver import Decoder, Driver, SampleBlock

Notification = tuple[str, bytes, int]
"""Characteristic, bytes, arrival (ns)."""


@dataclass(frozen=True, slots=True)
class Capture:
    """notifications, and per stream the samples (n, channels) they hold, in raw units and in order.

    prepare sets a fresh decoder up as `configure` would (rate, scales, boot). Streams that have a check sum
    are `checked`: then no damaged sample may pass at all; without one, damage inside a sample cannot be seen.
    byte_stream: frames run over notifications, so that cutting and merging them changes nothing.
    split: packets span notifications without a number, so that reordering them cannot be seen.
    """

    name: str
    notifications: tuple[Notification, ...]
    samples: dict[str, NDArray[np.int16] | NDArray[np.float32]]
    prepare: Callable[[Decoder], None] = lambda _decoder: None
    checked: bool = False
    byte_stream: bool = False
    split: bool = False
    data: frozenset[str] = field(default_factory=frozenset)
    """Characteristics that carry samples; all of the capture's when empty."""


class KitError(AssertionError):
    """A driver failed; the sentence names the capture and the trial."""


def decode(driver: Driver, capture: Capture, notifications: Iterable[Notification]) -> list[SampleBlock]:
    """The blocks a fresh decoder makes of these notifications. Raises KitError instead of what it raises."""
    decoder = driver.decoder(count(1).__next__)
    capture.prepare(decoder)
    blocks: list[SampleBlock] = []
    number = 0
    for number, (characteristic, data, arrival_ns) in enumerate(notifications, 1):
        try:
            blocks += decoder.feed(characteristic, data, arrival_ns)
        except Exception as error:
            raise KitError(f"{capture.name}: notification {number} raised {type(error).__name__}") from error
    _check_shape(driver, capture, blocks)
    if decoder.counters.notifications != number:
        raise KitError(f"{capture.name}: {number} notifications, {decoder.counters.notifications} counted")
    return blocks


def check(driver: Driver, captures: Iterable[Capture], *, seed: int = 1, trials: int = 20) -> None:
    """Raises KitError at the first demand a driver does not meet."""
    if not driver.profile or not driver.title or not driver.notify:
        raise KitError("a driver needs a profile, a title and the characteristics it subscribes to")
    for capture in captures:
        rng = random.Random(seed)  # noqa: S311 - repeatable damage, not a secret
        _check_whole(driver, capture)
        for trial in range(trials):
            _check_damage(driver, capture, rng, trial)


def _check_shape(driver: Driver, capture: Capture, blocks: list[SampleBlock]) -> None:
    specs = {spec.name: spec for spec in driver.streams()}
    seen: set[tuple[str, int, int]] = set()
    for block in blocks:
        spec = specs.get(block.stream)
        if spec is None:
            raise KitError(
                f"{capture.name}: a block of stream {block.stream}, which the driver does not list"
            )
        if block.values.ndim != 2 or block.values.shape[1] != len(spec.channels) or not len(block.values):
            raise KitError(f"{capture.name}: a block of shape {block.values.shape}")
        if str(block.values.dtype) != spec.dtype:
            raise KitError(f"{capture.name}: values of {block.values.dtype}, promised {spec.dtype}")
        if block.first < 0 or (block.tick is not None and block.tick < 0):
            raise KitError(f"{capture.name}: a negative index or tick")
        for index in range(block.first, block.first + len(block.values)):
            if (block.stream, block.boot, index) in seen:
                raise KitError(f"{capture.name}: sample {index} of {block.stream} came twice")
            seen.add((block.stream, block.boot, index))


def _rows(blocks: Iterable[SampleBlock], stream: str) -> list[tuple[float, ...]]:
    chosen = sorted((b for b in blocks if b.stream == stream), key=lambda b: (b.boot, b.first))
    return [tuple(row) for block in chosen for row in block.values.tolist()]


def _truth(capture: Capture, stream: str) -> list[tuple[float, ...]]:
    return [tuple(row) for row in capture.samples[stream].tolist()]


def _check_whole(driver: Driver, capture: Capture) -> None:
    """Undamaged: every sample, in order, with consecutive indices and rising ticks."""
    blocks = decode(driver, capture, capture.notifications)
    for stream in capture.samples:
        if _rows(blocks, stream) != _truth(capture, stream):
            raise KitError(f"{capture.name}: the samples of {stream} are not those that were sent")
        chosen = [block for block in blocks if block.stream == stream]
        for before, after in pairwise(chosen):
            if after.boot != before.boot or after.first != before.first + len(before.values):
                raise KitError(f"{capture.name}: the index of {stream} jumps although nothing is missing")
            if before.tick is not None and after.tick is not None and after.tick <= before.tick:
                raise KitError(f"{capture.name}: the tick of {stream} does not rise")
    if capture.byte_stream:
        merged = _recut(capture.notifications, random.Random(1))  # noqa: S311 - repeatable
        again = decode(driver, capture, merged)
        for stream in capture.samples:
            if _rows(again, stream) != _truth(capture, stream):
                raise KitError(f"{capture.name}: frames cut over notifications are not put together")


def _check_damage(driver: Driver, capture: Capture, rng: random.Random, trial: int) -> None:
    damaged, harmless = damage(capture, rng)
    blocks = decode(driver, capture, damaged)
    for stream in capture.samples:
        truth = set(_truth(capture, stream))
        wrong = [row for row in _rows(blocks, stream) if row not in truth]
        if wrong and (capture.checked or harmless):
            raise KitError(f"{capture.name}, trial {trial}: {len(wrong)} samples nobody sent")
        if any(not np.isfinite(row).all() for row in wrong):
            raise KitError(f"{capture.name}, trial {trial}: a sample that is not a number")


def damage(capture: Capture, rng: random.Random) -> tuple[list[Notification], bool]:
    """A mutated capture, and whether its bytes are whole frames still (then every sample must be true)."""
    whole = list(capture.notifications)
    places = [i for i, n in enumerate(whole) if not capture.data or n[0] in capture.data]
    kind = rng.choice(("drop", "double", "swap", "flip", "cut", "grow", "noise", "empty"))
    at = rng.choice(places)
    characteristic, data, arrival_ns = whole[at]
    if kind == "drop":
        del whole[at]
    elif kind == "double":
        whole.insert(at, whole[at])
    elif kind == "swap" and at + 1 < len(whole):
        whole[at], whole[at + 1] = whole[at + 1], whole[at]
    elif kind == "flip" and data:
        flipped = bytearray(data)
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        whole[at] = (characteristic, bytes(flipped), arrival_ns)
    elif kind == "cut":
        whole[at] = (characteristic, data[: rng.randrange(len(data) + 1)], arrival_ns)
    elif kind == "grow":
        whole[at] = (characteristic, data + rng.randbytes(rng.randrange(1, 30)), arrival_ns)
    elif kind == "noise":
        whole.insert(at, (characteristic, rng.randbytes(rng.randrange(1, 244)), arrival_ns))
    elif kind == "empty":
        whole.insert(at, (characteristic, b"", arrival_ns))
    spans = capture.byte_stream or capture.split
    return whole, kind == "empty" or (kind in ("drop", "double", "swap") and not spans)


def _recut(notifications: Iterable[Notification], rng: random.Random) -> list[Notification]:
    """The same bytes, cut elsewhere."""
    cut: list[Notification] = []
    rest: dict[str, bytes] = {}
    for characteristic, data, arrival_ns in notifications:
        whole = rest.pop(characteristic, b"") + data
        size = rng.randrange(len(whole) + 1)
        if size:
            cut.append((characteristic, whole[:size], arrival_ns))
        if whole[size:]:
            rest[characteristic] = whole[size:]
    last_ns = cut[-1][2] if cut else 0
    return cut + [(characteristic, data, last_ns) for characteristic, data in rest.items()]
