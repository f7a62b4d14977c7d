"""A connected wearable as a driver sees it: read, write, and wait for the answer that fits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar

from rtm_gateway.drivers.reply import Reply

_T = TypeVar("_T")


class GattClient(Protocol):
    """The part of `bleak.BleakClient` that drivers need."""

    async def read_gatt_char(self, char_specifier: str, /) -> bytearray: ...

    async def write_gatt_char(
        self, char_specifier: str, data: bytes, response: bool | None = None, /
    ) -> None: ...


class NoAnswerError(Exception):
    """The sensor did not answer in time, or answered that it cannot."""


class Answer(NamedTuple):
    """A reply with the gateway's monotonic clock just before the write."""

    reply: Reply
    sent_ns: int


class Port:
    """Commands of one link, one at a time. The link feeds `deliver` with the decoder's replies."""

    def __init__(
        self,
        client: GattClient,
        decoder: object,
        characteristics: frozenset[str],
        *,
        timeout_s: float = 5.0,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._client = client
        self._decoder = decoder
        self._characteristics = characteristics
        self._timeout_s = timeout_s
        self._clock = clock
        self._command = asyncio.Lock()
        self._waiting: list[tuple[Callable[[Reply], bool], asyncio.Future[Reply]]] = []

    def decoder(self, kind: type[_T]) -> _T:
        """The decoder this link feeds. Raises TypeError when it is another driver's."""
        if not isinstance(self._decoder, kind):
            raise TypeError(f"this link decodes with {type(self._decoder).__name__}, not {kind.__name__}")
        return self._decoder

    def has(self, characteristic: str) -> bool:
        """Does the device have this characteristic (128-bit UUID, lower case)?"""
        return characteristic in self._characteristics

    async def read(self, characteristic: str) -> bytes:
        """The value of a characteristic."""
        return bytes(await self._client.read_gatt_char(characteristic))

    async def write(self, characteristic: str, data: bytes, *, response: bool = True) -> None:
        """Write and, with `response`, wait for the acknowledgement."""
        await self._client.write_gatt_char(characteristic, data, response)

    async def request(
        self,
        characteristic: str,
        data: bytes,
        accept: Callable[[Reply], bool],
        *,
        response: bool = True,
        timeout_s: float | None = None,
    ) -> Answer:
        """Write a command and wait for the reply that `accept` takes. Raises NoAnswerError.

        Commands are sent one after the other: the next after the answer to this one.
        """
        async with self._command:
            with self.expect(accept) as waiting:
                sent_ns = self._clock()
                await self._client.write_gatt_char(characteristic, data, response)
                return Answer(await self.wait(waiting, timeout_s), sent_ns)

    def expect(self, accept: Callable[[Reply], bool]) -> Expected:
        """A place in the queue for a reply that comes later, to be used in a `with` block."""
        return Expected(self._waiting, accept)

    async def wait(self, waiting: asyncio.Future[Reply], timeout_s: float | None = None) -> Reply:
        """The reply, or NoAnswerError."""
        try:
            async with asyncio.timeout(self._timeout_s if timeout_s is None else timeout_s):
                return await waiting
        except TimeoutError:
            raise NoAnswerError("the sensor did not answer in time") from None

    def deliver(self, reply: Reply) -> bool:
        """Give a reply to the first who waits for it; False when nobody does."""
        for accept, future in self._waiting:
            if not future.done() and accept(reply):
                future.set_result(reply)
                return True
        return False

    def fail(self, why: str) -> None:
        """The link is gone: nobody will be answered."""
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(NoAnswerError(why))


class Expected:
    """Registers a waiter for the length of a `with` block."""

    def __init__(
        self,
        waiting: list[tuple[Callable[[Reply], bool], asyncio.Future[Reply]]],
        accept: Callable[[Reply], bool],
    ) -> None:
        self._all = waiting
        self._future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._entry = (accept, self._future)

    def __enter__(self) -> asyncio.Future[Reply]:
        self._all.append(self._entry)
        return self._future

    def __exit__(self, *_: object) -> None:
        self._all.remove(self._entry)
        if self._future.done() and not self._future.cancelled():
            self._future.exception()  # mark as seen: the link may have failed while nobody awaited it
        self._future.cancel()
