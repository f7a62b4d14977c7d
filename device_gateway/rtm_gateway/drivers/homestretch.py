"""Driver of the open `homestretch` profile, version 1 (docs/reference/homestretch-profile.md).

Not checked on hardware: no sensor but the simulator has run this profile yet.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from bleak.backends.scanner import AdvertisementData

from rtm_gateway.drivers.driver import BaseDriver, FourStamp, Identity, StoredRun, StreamSpec
from rtm_gateway.drivers.homestretch_decoder import (
    ANSWER,
    BLINK,
    CONTROL,
    DATA,
    DONE,
    EVENT,
    EVENT_KIND,
    FLASH,
    FREE,
    INFORMATION,
    LIST,
    READ,
    READ_END,
    SERVICE,
    START,
    STATUS,
    STOP,
    STREAM,
    TICK,
    TIME,
    HomestretchDecoder,
    Information,
    frame_crc,
    parse_information,
)
from rtm_gateway.drivers.port import Answer, NoAnswerError, Port

__all__ = [
    "ANSWER",
    "BLINK",
    "CONTROL",
    "DATA",
    "DONE",
    "EVENT",
    "EVENT_KIND",
    "FLASH",
    "FREE",
    "INFORMATION",
    "LIST",
    "READ",
    "READ_END",
    "SERVICE",
    "START",
    "STATUS",
    "STOP",
    "TICK",
    "TIME",
    "HomestretchDecoder",
    "HomestretchDriver",
    "Information",
    "frame_crc",
    "parse_information",
]

_MAX_READ: Final = 60_000  # samples a READ, ten minutes at 100 Hz, held until its CRC-32 has come
_READ_TRIES: Final = 3
_LIVE_S: Final = 0.1
_STRAGGLERS_S: Final = 0.5  # how long frames may come after the end that was told on another characteristic
_STATUS_WORDS: Final = {
    1: "does not know this command",
    2: "found the command malformed",
    3: "cannot do this now",
    4: "does not hold these samples",
}
_UNKNOWN_OP, _BAD_ARGUMENT, _NOT_IN_FLASH = 1, 2, 4


class HomestretchDriver(BaseDriver):
    """The open profile: index, boot, CRC, flash freed on command, four-stamp time exchange."""

    profile: ClassVar[str] = "homestretch"
    title: ClassVar[str] = "Homestretch open profile"
    unverified: ClassVar[tuple[str, ...]] = ("No hardware has run this profile yet; only the simulator has.",)
    encrypted: ClassVar[bool] = True
    notify: ClassVar[tuple[str, ...]] = (CONTROL, DATA, FLASH, EVENT)
    has_flash: ClassVar[bool] = True

    def __init__(self, *, batch: int | None = None) -> None:
        """batch: samples a notification; None: a tenth of a second of them, so that a page can follow."""
        self.batch = batch
        self.information: Information | None = None
        self._decoder = HomestretchDecoder()
        self._ref = 0
        self._run_ticks: dict[tuple[int, int], int] = {}
        """(boot, first index of a run) -> low half of its tick."""

    @classmethod
    def matches(cls, advertisement: AdvertisementData) -> bool:
        """By the service's UUID."""
        return SERVICE in advertisement.service_uuids

    def streams(self) -> tuple[StreamSpec, ...]:
        return self._decoder.streams()

    def decoder(self, _next_boot: Callable[[], int] | None = None) -> HomestretchDecoder:
        """The sensor numbers its boots itself."""
        self._decoder = HomestretchDecoder()
        return self._decoder

    def _next_ref(self) -> int:
        self._ref = (self._ref + 1) & 0xFF
        return self._ref

    async def _command(
        self,
        port: Port,
        op: int,
        arguments: bytes = b"",
        *,
        ref: int | None = None,
        allow: tuple[int, ...] = (),
    ) -> Answer:
        """Raises NoAnswerError when the sensor refuses with a status that is not in `allow`."""
        number = self._next_ref() if ref is None else ref
        answer = await port.request(
            CONTROL, bytes((op, number)) + arguments, lambda r: r.kind == op | ANSWER and r.ref == number
        )
        status = answer.reply.data[0]
        if status != DONE and status not in allow:
            raise NoAnswerError(f"the sensor {_STATUS_WORDS.get(status, 'refused a command')}")
        return answer

    async def configure(self, port: Port) -> Identity:
        information = parse_information(await port.read(INFORMATION))
        self.information = information
        port.decoder(HomestretchDecoder).know(information)
        return Identity(information.serial, information.firmware, information.simulated)

    async def start(self, port: Port) -> None:
        rate_hz = self.information.rate_hz if self.information is not None else 1.0
        batch = max(1, round(rate_hz * _LIVE_S)) if self.batch is None else self.batch
        await self._command(port, START, bytes((min(batch, 255),)))

    async def stop(self, port: Port) -> None:
        await self._command(port, STOP)

    async def battery(self, port: Port) -> float | None:
        answer = await self._command(port, STATUS)
        percent = answer.reply.data[2] if len(answer.reply.data) > 2 else 255
        return percent / 100.0 if percent <= 100 else None

    async def exchange(self, port: Port) -> FourStamp | None:
        answer = await self._command(port, TIME)
        body = answer.reply.data[1:]
        if len(body) < 12 or self.information is None:
            return None
        tick, later = struct.unpack_from("<QI", body)
        return FourStamp(
            self.information.boot,
            answer.sent_ns,
            tick,
            tick + later,
            answer.reply.arrival_ns,
            float(self.information.tick_hz),
        )

    async def stored(self, port: Port) -> Sequence[StoredRun]:
        """The runs in flash, oldest first, after the ends of boots that were overwritten as a whole (first = next).

        The list may shift while it is read; FREE is ours alone.
        """
        runs: list[StoredRun] = []
        self._run_ticks.clear()
        total = 1
        while len(runs) < total:
            answer = await self._command(port, LIST, bytes((len(runs),)), allow=(_BAD_ARGUMENT,))
            data = answer.reply.data
            if data[0] != DONE or len(data) < 18:
                break
            total = data[1]
            boot, first, following, low_tick = struct.unpack_from("<IIII", data, 2)
            run = StoredRun(STREAM, boot, first, max(first, following))
            self._run_ticks[boot, first] = low_tick
            runs.append(run)
        return runs

    async def download(self, port: Port, run: StoredRun, first: int, last: int) -> None:
        """One READ, again where its CRC-32 is wrong. What was overwritten is still missing after it."""
        for _ in range(_READ_TRIES):
            if await self._read(port, run, first, last):
                return

    async def _read(self, port: Port, run: StoredRun, first: int, last: int) -> bool:
        """False when the samples were not proved and were dropped."""
        decoder = port.decoder(HomestretchDecoder)
        count = min(last + 1 - first, _MAX_READ)
        tick = await self._tick(port, run, first)
        ref = self._next_ref()
        with port.expect(lambda r: r.kind == READ_END and r.ref == ref) as ending:
            decoder.reading(run.boot, first, tick)
            arguments = struct.pack("<III", run.boot, first, count)
            answer = await self._command(port, READ, arguments, ref=ref, allow=(_NOT_IN_FLASH,))
            if answer.reply.data[0] != DONE:
                return True
            await port.wait(ending, timeout_s=30.0 + count / 200.0)
        deadline = time.monotonic() + _STRAGGLERS_S
        while not decoder.read_proved and decoder.reading_on and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        return decoder.read_proved

    async def _tick(self, port: Port, run: StoredRun, index: int) -> int | None:
        """The tick of a sample in flash, None where it is not known; a sensor without TICK tells its low half."""
        decoder = port.decoder(HomestretchDecoder)
        ticks_a_sample = decoder.tick_hz / decoder.rate_hz
        arguments = struct.pack("<II", run.boot, index)
        answer = await self._command(port, TICK, arguments, allow=(_UNKNOWN_OP, _NOT_IN_FLASH))
        data = answer.reply.data
        if data[0] == DONE and len(data) >= 13:
            stored: int
            tick: int
            stored, tick = struct.unpack_from("<IQ", data, 1)
            return tick - round((stored - index) * ticks_a_sample)
        low = self._run_ticks.get((run.boot, run.first))
        return None if low is None else low + round((index - run.first) * ticks_a_sample)

    async def free(self, port: Port, boot: int, up_to: int) -> None:
        await self._command(port, FREE, struct.pack("<II", boot, up_to), allow=(_NOT_IN_FLASH,))

    async def blink(self, port: Port, seconds: int) -> bool:
        await self._command(port, BLINK, bytes((min(max(seconds, 0), 255),)))
        return True
