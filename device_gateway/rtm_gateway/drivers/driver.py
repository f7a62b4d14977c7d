"""The one shape of a wearable's driver, and what flows out of it.

Data flow one way: notification -> `Decoder.feed` (pure) -> `SampleBlock`. Commands go through a `Port`, which
writes, and waits for a `Reply` that the decoder found among the notifications. A driver never keeps samples.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntFlag
from typing import ClassVar, Literal, NamedTuple, Protocol

import numpy as np
from bleak.backends.scanner import AdvertisementData
from numpy.typing import NDArray

from rtm_gateway.drivers.port import Port
from rtm_gateway.drivers.reply import Reply
from rtm_signal.chunk import Channel

Values = NDArray[np.int16] | NDArray[np.float32]


class Flag(IntFlag):
    """What is special about a block."""

    NONE = 0
    GAP = 1
    """Samples are missing just before it."""
    FLASH = 2
    """Read from the sensor's memory: its arrival says nothing about its time."""
    GATEWAY_INDEX = 4
    """The sensor counts nothing; the index is the gateway's."""
    CLOCK_JUMP = 8
    """The sensor's clock was set or restarted just before it."""
    FILE = 16
    """Of a recording the sensor made by itself, with a boot of its own; comes with FLASH."""


@dataclass(frozen=True, slots=True)
class SampleBlock:
    """Consecutive samples of one stream of one boot, as the sensor sent them.

    first: index of the first sample, unwrapped, within (stream, boot). values: (k, channels) in raw units,
    to be multiplied by the stream's scales. tick: the sensor's clock at the FIRST sample, unwrapped, in
    1/tick_hz s; None when the sensor has no clock.
    arrival_ns: the gateway's monotonic clock at the notification. utc_ns: of a recording, what the sensor's
    clock says UTC was at the first sample; true if somebody had set that clock.
    """

    stream: str
    boot: int
    first: int
    values: Values
    tick: int | None
    tick_hz: float
    arrival_ns: int
    flags: Flag = Flag.NONE
    utc_ns: int | None = None


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """One stream: its columns with unit and scale, nominal rate (Hz) and type of values."""

    name: str
    channels: tuple[Channel, ...]
    rate_hz: float
    dtype: Literal["int16", "float32"]
    tick_hz: float = 0.0


@dataclass(slots=True)
class Counters:
    """What a decoder met. Nothing here names a patient."""

    notifications: int = 0
    samples: int = 0
    malformed: int = 0
    """Wrong length, type or value: dropped."""
    crc: int = 0
    """Failed its check: dropped."""
    duplicate: int = 0
    """Samples that had been delivered before: dropped."""
    gap: int = 0
    """Holes in the index."""
    gap_samples: int = 0
    """Samples missing in those holes."""
    unknown: int = 0
    """Of a kind this driver does not read."""


class FourStamp(NamedTuple):
    """One clock exchange: gateway monotonic ns at t1 and t4, the sensor's ticks at t2 and t3."""

    boot: int
    t1_ns: int
    t2_tick: int
    t3_tick: int
    t4_ns: int
    tick_hz: float


class StoredRun(NamedTuple):
    """Samples in a sensor's memory: indices first .. next - 1 of a boot. `key` is the driver's own.

    Of a memory that keeps files (`has_files`): first and next count the bytes of file `key`, the stream
    is empty and the boot 0, since what it holds is known when it has come.
    """

    stream: str
    boot: int
    first: int
    next: int
    key: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the sensor says it is; bound at first sight, so that another one on the same address is noticed."""

    serial: str
    firmware: str = ""
    simulated: bool = False


class WrongDeviceError(Exception):
    """The device at this address is not what it should be; the sentence says what was found."""


class Decoder(Protocol):
    """Pure: bytes in, blocks out. Keeps counters and the state that wraps and gaps need, does no I/O.

    Never raises for what a sensor may send: bad bytes are counted, logged once a burst, and dropped.
    """

    counters: Counters

    def feed(self, characteristic: str, data: bytes, arrival_ns: int) -> list[SampleBlock]:
        """Blocks in one notification (often one, none while a frame is incomplete)."""
        ...

    def streams(self) -> tuple[StreamSpec, ...]:
        """The streams it has met, exactly; what to expect before that."""
        ...

    def take_replies(self) -> list[Reply]:
        """Answers and events met since the last call."""
        ...

    def reconnected(self) -> None:
        """A new link: a half-received frame will never be completed."""
        ...


class Driver(Protocol):
    """One wearable. An instance belongs to one sensor and learns its settings in `configure`."""

    profile: ClassVar[str]
    title: ClassVar[str]
    unverified: ClassVar[tuple[str, ...]]
    """Facts nobody has checked on hardware, for the driver's page and `rtm doctor`."""
    encrypted: ClassVar[bool]
    """The link must be paired and encrypted before anything can be read."""
    notify: ClassVar[tuple[str, ...]]
    """Characteristics to subscribe, in this order."""
    has_flash: ClassVar[bool]
    """Its memory holds what it streams, by the same index."""
    has_files: ClassVar[bool]
    """Its memory holds recordings that it made by itself: files, each with an index of its own."""

    @classmethod
    def matches(cls, advertisement: AdvertisementData) -> bool:
        """Does this advertisement come from such a wearable?"""
        ...

    def streams(self) -> tuple[StreamSpec, ...]:
        """The streams it sends; exact after `configure`, nominal before."""
        ...

    def decoder(self, next_boot: Callable[[], int] | None = None) -> Decoder:
        """A fresh decoder, which `streams` describes from then on.

        next_boot numbers the starts of a sensor that does not number them itself; it must never repeat for a
        sensor. Without it they are 1, 2, ... which will do for a recording.
        """
        ...

    async def configure(self, port: Port, /) -> Identity:
        """Read who it is, set rate and ranges. Raises `WrongDeviceError`."""
        ...

    async def start(self, port: Port, /) -> None:
        """Switch streaming on (idempotent)."""
        ...

    async def stop(self, port: Port, /) -> None:
        """Switch streaming, and recording, off."""
        ...

    async def battery(self, port: Port, /) -> float | None:
        """Charge 0..1, None when the wearable does not tell."""
        ...

    async def exchange(self, port: Port, /) -> FourStamp | None:
        """One four-stamp clock exchange, None where there is none."""
        ...

    async def stored(self, port: Port, /) -> Sequence[StoredRun]:
        """What its memory holds, oldest first."""
        ...

    async def download(self, port: Port, run: StoredRun, first: int, last: int, /) -> None:
        """Fetch samples first..last of a run; they come out of the decoder, flagged FLASH."""
        ...

    async def free(self, port: Port, boot: int, up_to: int, /) -> None:
        """Let the sensor forget everything of a boot below `up_to`, which the gateway has stored durably."""
        ...

    async def blink(self, port: Port, seconds: int, /) -> bool:
        """Make the sensor show itself; False when it cannot."""
        ...


BATTERY_LEVEL = "00002a19-0000-1000-8000-00805f9b34fb"


class BaseDriver:
    """Answers of a wearable that lacks something: no flash, no clock exchange, no lamp."""

    profile: ClassVar[str] = ""
    title: ClassVar[str] = ""
    unverified: ClassVar[tuple[str, ...]] = ()
    encrypted: ClassVar[bool] = False
    notify: ClassVar[tuple[str, ...]] = ()
    has_flash: ClassVar[bool] = False
    has_files: ClassVar[bool] = False

    async def battery(self, port: Port, /) -> float | None:
        """The standard battery service, where the device has it."""
        if not port.has(BATTERY_LEVEL):
            return None
        value = await port.read(BATTERY_LEVEL)
        return value[0] / 100.0 if value and value[0] <= 100 else None

    async def exchange(self, _port: Port, /) -> FourStamp | None:
        return None

    async def stored(self, _port: Port, /) -> Sequence[StoredRun]:
        return ()

    async def download(self, _port: Port, _run: StoredRun, _first: int, _last: int, /) -> None:
        raise NotImplementedError(f"{self.profile} has no memory to read")

    async def free(self, _port: Port, _boot: int, _up_to: int, /) -> None:
        return None

    async def blink(self, _port: Port, _seconds: int, /) -> bool:
        return False


@dataclass(slots=True)
class BurstLog:
    """Logs the first bad notification of a burst and, when it is over, how many there were.

    A burst ends after `quiet_ns` without a bad one. The profile's name is all that is said about the sensor.
    """

    logger: logging.Logger
    profile: str
    quiet_ns: int = 10_000_000_000
    _count: int = field(default=0, init=False)
    _last_ns: int = field(default=0, init=False)

    def bad(self, what: str, arrival_ns: int) -> None:
        """Count one bad notification."""
        self.flush(arrival_ns)
        if self._count == 0:
            self.logger.warning("%s: %s; dropped", self.profile, what)
        self._count += 1
        self._last_ns = arrival_ns

    def flush(self, now_ns: int) -> None:
        """Say how many there were, if a burst has ended by now."""
        if self._count and now_ns - self._last_ns > self.quiet_ns:
            if self._count > 1:
                self.logger.warning("%s: %d bad notifications in the last burst", self.profile, self._count)
            self._count = 0


def spec_channels(names: str, unit: str, scale: float) -> tuple[Channel, ...]:
    """Channels of one unit and scale: `spec_channels("ax ay az", "m/s2", 0.01)`."""
    return tuple(Channel(name, unit, scale) for name in names.split())
