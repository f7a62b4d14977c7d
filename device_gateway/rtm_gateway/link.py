"""The life of one sensor's connection: connect, pair, stream, fetch what was missed, survive, begin again.

Notifications are stamped and queued in bleak's callback, decoded a moment later in the same event loop,
and handed on as blocks.
Whatever breaks the link (range, a half-open link, a reboot, the radio itself) ends in the
same place: disconnect, wait a jittered while, connect, ask the sensor's memory for what is missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Final

from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.device import BLEDevice
from bleak.exc import BleakBluetoothNotAvailableError, BleakError

from rtm_gateway.bond import BondLostError
from rtm_gateway.boot_number import boots_by_clock
from rtm_gateway.clock import DeviceClocks, WallClock, wall_clock
from rtm_gateway.drivers.driver import (
    Counters,
    Driver,
    Flag,
    FourStamp,
    Identity,
    SampleBlock,
    StreamSpec,
    WrongDeviceError,
)
from rtm_gateway.drivers.port import NoAnswerError, Port
from rtm_gateway.drivers.reply import Reply
from rtm_gateway.link_event import Event, LinkEvent, LinkPolicy, Span
from rtm_gateway.memory_reader import MemoryReader
from rtm_gateway.radio import Radio
from rtm_gateway.rate import RateWatch, contradicts_itself

__all__ = ["LINK_ERRORS", "Event", "LinkEvent", "LinkPolicy", "SensorLink", "Span", "boots_by_clock"]

_log = logging.getLogger(__name__)

LINK_ERRORS: Final = (BleakError, NoAnswerError, TimeoutError, OSError, EOFError)
"""What a radio may throw at us; anything else is a mistake of ours."""


class SensorLink:
    """Keeps one sensor connected. `await run()` until `stop()` or until the sensor is refused.

    on_block and on_event are called in the event loop and must not block. `have` names the samples that are
    already stored, by (stream, boot), so that a restarted gateway fetches only what it lacks, `fetched` the
    files of a memory that keeps files, with their bytes. `bound` is
    the serial number seen first at this sensor; another one is refused. `next_boot` numbers the starts of
    sensors that do not count them; it must never repeat for a sensor, over restarts of the gateway too.
    `wall` is the gateway's clock, shared by its links; `clocks` holds the sensor's fits.
    """

    def __init__(
        self,
        device: BLEDevice,
        driver: Driver,
        *,
        radio: Radio,
        on_block: Callable[[SampleBlock], None],
        on_event: Callable[[LinkEvent], None],
        have: Mapping[tuple[str, int], Sequence[tuple[int, int]]] | None = None,
        fetched: Mapping[str, int] | None = None,
        bound: str | None = None,
        next_boot: Callable[[], int] | None = None,
        streaming: bool = True,
        wall: WallClock | None = None,
        policy: LinkPolicy | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.device = device
        self.driver = driver
        self.identity: Identity | None = None
        self.connected = False
        self.clocks = DeviceClocks(wall or wall_clock())
        self._radio = radio
        self._on_block = on_block
        self._on_event = on_event
        self._policy = policy or LinkPolicy()
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._decoder = driver.decoder(next_boot or boots_by_clock())
        self._memory = MemoryReader(
            driver,
            self._decoder,
            drain=self._drain,
            settle_s=self._policy.settle_s,
            have=have,
            fetched=fetched,
        )
        self._bound = bound
        self._rates: dict[str, RateWatch] = {}
        self._want_streaming = streaming
        self._streaming = False
        self._changed = asyncio.Event()
        self._stop = asyncio.Event()
        self._gone = asyncio.Event()
        self._wrong: WrongDeviceError | None = None
        self._inbox: deque[tuple[str, bytes, int]] = deque()
        self._draining = False
        self._last_data_ns = 0
        self._boot: int | None = None
        self._port: Port | None = None
        self._stale_cache = False

    @property
    def counters(self) -> Counters:
        """What the decoder met so far."""
        return self._decoder.counters

    def spec(self, stream: str) -> StreamSpec | None:
        """What the blocks of a stream hold."""
        return next((spec for spec in self._decoder.streams() if spec.name == stream), None)

    @property
    def port(self) -> Port | None:
        """The driver's way to the sensor while connected."""
        return self._port

    def set_streaming(self, on: bool) -> None:
        """Wish to stream or not; done as soon as the sensor is there."""
        self._want_streaming = on
        self._changed.set()

    async def stop(self) -> None:
        """End `run`. The sensor goes on recording to its memory if it has one."""
        self._stop.set()

    async def free(self, boot: int, up_to: int) -> bool:
        """Let the sensor forget what is durably stored here; False when it is not connected now."""
        return await self._ask(lambda port: self.driver.free(port, boot, up_to))

    async def blink(self, seconds: int = 5) -> bool:
        """Make the sensor show itself; False when it cannot or is not connected."""
        port = self._port
        if port is None:
            return False
        try:
            return await self.driver.blink(port, seconds)
        except LINK_ERRORS:
            return False

    async def _ask(self, command: Callable[[Port], object]) -> bool:
        port = self._port
        if port is None:
            return False
        try:
            result = command(port)
            if asyncio.iscoroutine(result):
                await result
        except LINK_ERRORS as error:
            _log.debug("%s: a command failed: %s", self.driver.profile, error)
            return False
        return True

    # The loop

    async def run(self) -> None:
        """Connect and reconnect. Returns after `stop()`, or when the sensor is refused."""
        failures = 0
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                await self._until_stopped(self._session(search=failures > 0))
            except WrongDeviceError as error:
                self._tell(Event.REFUSED, f"This sensor is refused: {error}.")
                return
            except BondLostError as error:
                self._tell(Event.BOND_LOST, f"Pairing again: {error}.")
            except BleakBluetoothNotAvailableError as error:
                self._tell(Event.RADIO_GONE, f"{error.args[0]}.")
            except LINK_ERRORS as error:
                _log.info(
                    "%s: %s", self.driver.profile, str(error) or f"{type(error).__name__} without words"
                )
                if failures in (0, 5):
                    self._tell(Event.UNREACHABLE, "The sensor cannot be reached at the moment; trying again.")
            steady = time.monotonic() - began > self._policy.steady_s
            failures = 0 if steady else failures + 1
            await self._pause(failures)

    async def _until_stopped(self, session: Coroutine[None, None, None]) -> None:
        """Run a session; a stop ends one that is still looking for its sensor at once."""
        task, stop = asyncio.ensure_future(session), asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done() and self._port is None:
                task.cancel()
            await asyncio.wait({task})
        finally:
            stop.cancel()
            task.cancel()
        if not task.cancelled():
            task.result()

    async def _pause(self, failures: int) -> None:
        """Exponential back-off with jitter, so that sensors lost together do not return together."""
        policy = self._policy
        longest = min(policy.longest_wait_s, policy.first_wait_s * 2.0 ** min(failures, 16))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._rng.uniform(0.5, 1.0) * longest):
                await self._stop.wait()

    async def _session(self, *, search: bool) -> None:
        """One connection from its making to its end."""
        if search:
            found = await self._radio.find(self.device.address, self._policy.find_s)
            if found is None:
                raise TimeoutError("the sensor does not advertise")
            self.device = found[0]
        if self._stop.is_set():
            return
        self._gone.clear()
        client = await self._connect()
        try:
            await self._use(client)
        finally:
            await self._leave(client)

    async def _connect(self) -> BleakClient:
        try:
            return await self._radio.connect(
                self.device,
                lambda _: self._gone.set(),
                pair=self.driver.encrypted,
                timeout=self._policy.connect_s,
            )
        except BondLostError:
            client = BleakClient(self.device, **self._radio.client_arguments)
            with contextlib.suppress(*LINK_ERRORS, NotImplementedError):
                await client.unpair()
            raise

    async def _leave(self, client: BleakClient) -> None:
        port, self._port = self._port, None
        if port is not None:
            port.fail("the link was lost")
        was, self.connected = self.connected, False
        with contextlib.suppress(*LINK_ERRORS):
            async with asyncio.timeout(5):
                await client.disconnect()
        self._drain()
        self._decoder.reconnected()
        if was:
            self._tell(Event.DISCONNECTED, "The link to the sensor has ended.")

    async def _use(self, client: BleakClient) -> None:
        names = frozenset(c.uuid for service in client.services for c in service.characteristics)
        await self._check_services(client, names)
        port = Port(client, self._decoder, names)
        self._decoder.reconnected()
        for characteristic in self.driver.notify:
            await client.start_notify(characteristic, self._receiver(characteristic))
        self._port = port
        self._memory.connected()
        self._wrong = None
        for watch in self._rates.values():
            watch.begin_anew()
        identity = await self.driver.configure(port)
        self._check_identity(identity)
        self.connected = True
        self._tell(Event.CONNECTED, "The sensor is connected.", identity=identity)
        await self._until_gone(port)

    async def _check_services(self, client: BleakClient, names: frozenset[str]) -> None:
        if names.issuperset(self.driver.notify):
            self._stale_cache = False
            return
        if not self._stale_cache and hasattr(client, "clear_cache"):
            self._stale_cache = True  # a firmware update may have changed the services: discover anew, once
            await client.clear_cache()
            raise BleakError("the services are not those expected; reading them anew")
        raise WrongDeviceError(f"it does not offer the services of {self.driver.title}")

    def _check_identity(self, identity: Identity) -> None:
        if self._bound and identity.serial and identity.serial != self._bound:
            raise WrongDeviceError(
                f"it says it is number {identity.serial}, but number {self._bound} belongs here;"
                " it may be somebody else's"
            )
        self._bound = self._bound or identity.serial or None
        self.identity = identity

    async def _until_gone(self, port: Port) -> None:
        """Work until the link ends, the data stop, or the owner does."""
        tasks: list[asyncio.Task[object]] = [
            asyncio.create_task(self._serve(port)),
            asyncio.create_task(self._watch()),
            asyncio.create_task(self._gone.wait()),
            asyncio.create_task(self._stop.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result
        if self._wrong is not None:
            raise self._wrong

    async def _watch(self) -> None:
        """A half-open link says nothing: silence while streaming ends it."""
        limit_ns = int(self._policy.silence_s * 1e9)
        self._last_data_ns = time.monotonic_ns()
        while True:
            await asyncio.sleep(self._policy.silence_s / 4)
            if not self._want_streaming:
                self._last_data_ns = time.monotonic_ns()
            elif time.monotonic_ns() - self._last_data_ns > limit_ns:
                self._tell(Event.STALLED, "The sensor is connected but sends nothing; connecting anew.")
                return

    async def _serve(self, port: Port) -> None:
        """Clock, streaming, memory, battery; then the same again at their intervals."""
        policy = self._policy
        for _ in range(policy.exchanges_at_start):
            if not await self._exchange(port):
                break
        await self._apply_streaming(port)
        await self._battery(port)
        due = {
            "exchange": time.monotonic() + policy.exchange_every_s,
            "battery": time.monotonic() + policy.battery_every_s,
            "resync": time.monotonic() + policy.settle_s,
        }
        while True:
            self._changed.clear()
            if self._want_streaming != self._streaming:
                await self._apply_streaming(port)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(due.values()) - time.monotonic())):
                    await self._changed.wait()
            now = time.monotonic()
            if now >= due["exchange"]:
                await self._exchange(port)
                due["exchange"] = time.monotonic() + policy.exchange_every_s
            if now >= due["battery"]:
                await self._battery(port)
                due["battery"] = time.monotonic() + policy.battery_every_s
            if now >= due["resync"]:
                await self._resync(port)
                due["resync"] = time.monotonic() + policy.resync_every_s

    async def _apply_streaming(self, port: Port) -> None:
        """Make the sensor do what is wished; the wish may change meanwhile."""
        self._streaming = wished = self._want_streaming
        if wished:
            await self.driver.start(port)
        else:
            await self.driver.stop(port)

    async def _exchange(self, port: Port) -> bool:
        stamps = await self.driver.exchange(port)
        if stamps is None:
            return False
        self.clocks.exchange(stamps)
        self._tell(Event.CLOCK, "Clocks were compared.", stamps=stamps)
        return True

    async def _battery(self, port: Port) -> None:
        charge = await self.driver.battery(port)
        if charge is not None:
            self._tell(Event.BATTERY, f"The sensor's battery is at {charge:.0%}.", value=charge)

    async def _resync(self, port: Port) -> None:
        """Ask its memory for what is missing."""
        async for file in self._memory.files(port):
            self._tell(Event.FETCHED, "A recording came from the sensor's memory.", file=file)
        fetched = await self._memory.resync(port)
        if fetched is not None:
            number, lost = fetched
            missing = sum(span.last - span.first + 1 for span in lost)
            what = f"{number} samples came from the sensor's memory; {missing} are lost."
            self._tell(Event.RESYNCED, what, spans=tuple(lost))

    # Notifications

    def _receiver(self, characteristic: str) -> Callable[[BleakGATTCharacteristic, bytearray], None]:
        """bleak's callback: stamp, queue, and no more."""
        inbox, now = self._inbox, time.monotonic_ns
        loop = asyncio.get_running_loop()

        def receive(_: BleakGATTCharacteristic, data: bytearray) -> None:
            inbox.append((characteristic, bytes(data), now()))
            if not self._draining:
                self._draining = True
                loop.call_soon(self._drain)

        return receive

    def _drain(self) -> None:
        self._draining = False
        inbox, feed = self._inbox, self._decoder.feed
        while inbox:
            characteristic, data, arrival_ns = inbox.popleft()
            self._last_data_ns = arrival_ns
            for block in feed(characteristic, data, arrival_ns):
                self._hand_on(block)
        for reply in self._decoder.take_replies():
            port = self._port
            if port is None or not port.deliver(reply):
                self._tell(Event.SENSOR, "The sensor reports an event.", reply=reply)

    def _hand_on(self, block: SampleBlock) -> None:
        if block.boot != self._boot and not block.flags & Flag.FLASH:
            if self._boot is not None:
                self._tell(Event.REBOOTED, "The sensor has restarted; its counters begin anew.")
            self._boot = block.boot
        self.clocks.observe(block)
        self._watch_rate(block)
        self._on_block(block)
        self._memory.came(block)

    def _watch_rate(self, block: SampleBlock) -> None:
        watch = self._rates.get(block.stream)
        if watch is None:
            spec = self.spec(block.stream)
            if spec is None:
                return
            watch = self._rates[block.stream] = RateWatch(spec.rate_hz)
        measured = watch.observe(block)
        if measured is not None:
            what = f"{measured:.1f} samples a second instead of {watch.promised_hz:g}"
            self._tell(Event.RATE, f"The sensor sends {what}.", value=measured)
            if contradicts_itself(block):
                self._wrong = WrongDeviceError(f"it sends {what}, and nobody can say when they were taken")
                self._gone.set()

    def _tell(
        self,
        kind: Event,
        what: str,
        *,
        value: float | None = None,
        stamps: FourStamp | None = None,
        identity: Identity | None = None,
        spans: tuple[Span, ...] = (),
        reply: Reply | None = None,
        file: tuple[str, int] | None = None,
    ) -> None:
        event = LinkEvent(kind, what, time.monotonic_ns(), value, stamps, identity, spans, reply, file)
        self._on_event(event)
