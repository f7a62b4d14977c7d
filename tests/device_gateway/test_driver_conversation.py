"""A device that answers nonsense: a driver says so in one of its two ways, or goes on, and raises nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtm_gateway.drivers import DRIVERS, NoAnswerError, Port, Reply, WrongDeviceError, create
from rtm_gateway.drivers.capture2go import TX, frame
from rtm_gateway.drivers.movesense import NOTIFY as GSP
from rtm_gateway.drivers.polar_pmd import CONTROL as PMD
from rtm_gateway.drivers.witmotion import NOTIFY as WIT

Answering = Callable[[bytes, bytes], list[bytes]]
"""(what was written, the nonsense) -> notifications."""


def _homestretch(written: bytes, nonsense: bytes) -> list[bytes]:
    return [bytes((written[0] | 0x80, written[1])) + nonsense] if len(written) > 1 else [nonsense]


def _polar(written: bytes, nonsense: bytes) -> list[bytes]:
    return [bytes((0xF0, written[0], written[1])) + nonsense]


def _movesense(written: bytes, nonsense: bytes) -> list[bytes]:
    piece = struct.pack("<BBI", 2, written[1], 0) + nonsense
    return [bytes((1, written[1])) + nonsense, piece, struct.pack("<BBI", 2, written[1], len(nonsense))]


def _capture2go(written: bytes, nonsense: bytes) -> list[bytes]:
    header = int.from_bytes(written[6:8], "little")
    answers = [header, header + 1, header + 2, 0x0501, 0x0502, 0x0504]
    return [b"\xff" + frame(each, nonsense[:236]) for each in answers]


def _witmotion(written: bytes, nonsense: bytes) -> list[bytes]:
    return [b"\x55\x71" + written[3:4] + nonsense]


ANSWERS: dict[str, tuple[str, Answering]] = {
    "homestretch": ("", _homestretch),
    "polar-pmd": (PMD, _polar),
    "movesense-gsp": (GSP, _movesense),
    "capture2go": (TX, _capture2go),
    "witmotion": (WIT, _witmotion),
}


class Hasty(Port):
    """Waits for nobody: everything that will come has come with the write."""

    async def wait(self, waiting: asyncio.Future[Reply], _timeout_s: float | None = None) -> Reply:
        return await super().wait(waiting, 0.001)


class Nonsense:
    """A GATT client whose device reads and answers what the test drew."""

    def __init__(self, profile: str, reads: list[bytes], answers: list[bytes]) -> None:
        self.driver = create(profile)
        self.decoder = self.driver.decoder(count(1).__next__)
        characteristic, self._answering = ANSWERS[profile]
        self._characteristic = characteristic or self.driver.notify[0]
        self._reads, self._answers = list(reads), list(answers)
        self.port: Port

    async def read_gatt_char(self, _characteristic: str, /) -> bytearray:
        return bytearray(self._reads.pop() if self._reads else b"")

    async def write_gatt_char(
        self, _characteristic: str, data: bytes, _response: bool | None = None, /
    ) -> None:
        nonsense = self._answers.pop() if self._answers else b""
        for notification in self._answering(bytes(data), nonsense):
            self.decoder.feed(self._characteristic, notification, 10**9)
        for reply in self.decoder.take_replies():
            self.port.deliver(reply)


async def converse(device: Nonsense) -> int:
    """Everything a link asks of a driver; how much of it was refused."""
    driver, refused, wordless = device.driver, 0, 0
    every = frozenset(f"{n:08x}-0000-1000-8000-00805f9b34fb" for n in (0x2A19, 0x2A25, 0x2A26))
    device.port = port = Hasty(device, device.decoder, every | set(driver.notify))

    async def attempt(step: Callable[[], Any]) -> Any:
        nonlocal refused, wordless
        try:
            return await step()
        except (NoAnswerError, WrongDeviceError) as error:
            refused += 1
            wordless += not str(error)
            return None

    await attempt(lambda: driver.configure(port))
    await attempt(lambda: driver.start(port))
    charge = await attempt(lambda: driver.battery(port))
    assert charge is None or 0.0 <= charge <= 1.0
    await attempt(lambda: driver.exchange(port))
    runs = await attempt(lambda: driver.stored(port)) or ()
    for run in list(runs)[:3]:
        assert 0 <= run.first <= run.next
        if driver.has_files and 0 < run.next < 10_000:  # a whole download of nonsense takes its time-out
            with contextlib.suppress(NoAnswerError, TimeoutError):
                async with asyncio.timeout(0.01):
                    await driver.download(port, run, run.first, run.next - 1)
    await attempt(lambda: driver.stop(port))
    assert wordless == 0
    return refused


@pytest.mark.parametrize("profile", sorted(DRIVERS))
@settings(max_examples=60, deadline=None)
@given(
    reads=st.lists(st.binary(max_size=80), max_size=4),
    answers=st.lists(st.one_of(st.binary(max_size=80), st.binary(min_size=17, max_size=244)), max_size=12),
)
def test_a_driver_says_in_words_what_it_cannot_understand(
    profile: str, reads: list[bytes], answers: list[bytes]
) -> None:
    asyncio.run(converse(Nonsense(profile, reads, answers)))


def test_a_device_that_never_answers_is_refused() -> None:
    """The negative control: where nothing comes, something must be refused."""
    for profile in DRIVERS:
        silent = Nonsense(profile, [], [])
        silent._answering = lambda _written, _nonsense: []
        refused = asyncio.run(converse(silent))
        assert refused >= (0 if profile == "witmotion" else 2), profile  # it is told nothing and asked little
