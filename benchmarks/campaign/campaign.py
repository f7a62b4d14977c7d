"""One campaign from its seed to its verdict.

Sensors sample `speed` times as fast as the wall's clock runs, so that an hour of exercise is streamed, stored, lost
and fetched again in minutes; the gateway, its time-outs and the faults themselves run at the wall's own pace.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from benchmarks.campaign.broker import CampaignBroker
from benchmarks.campaign.faults import Fault
from benchmarks.campaign.home import GatewayProcess
from benchmarks.campaign.judge import Verdict, judge
from benchmarks.campaign.line import HomeLine
from benchmarks.campaign.room import Room
from benchmarks.campaign.server import Server, VerifyingServer

from rtm_signal.chunk import ChunkKey, stream_id

_READY_S = 300.0
"""For what must come, however slow the machine: nothing is waited for longer than it takes."""
_AGAIN_S = 2.0
_STILL_S = 150.0
"""Without anything new for so long, what is missing is given up, whatever the gateway says: longer than an item
that is sent again (45 s), a memory that is asked again (60 s) and a link that waits (30 s) one after the other."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done. seconds: of the wall; flash: samples a sensor's memory holds; mistake: a negative control;
    pace_s: how long a fault waits for the home to have recovered from the last one; patience_s: how long a
    gateway that says that nothing is left is believed to be wrong.

    `ack-before-commit` is the server's mistake, the others are of gateway_child.MISTAKES. server: `verifying`, or
    `platform`: `rtm ingest` and PostgreSQL, which die by kill -9.
    """

    seed: int
    faults: list[Fault]
    seconds: float
    speed: float = 6.0
    sensors: int = 2
    rate_hz: float = 50.0
    flash: int = 12_000
    broker: str = "iotcore"
    server: str = "verifying"
    mistake: str | None = None
    patience_s: float = 60.0
    pace_s: float = 0.0


@dataclass(slots=True)
class Report:
    """What happened and what came of it. told: by the server of itself; seconds: of the wall; log: the gateway's."""

    plan: Plan
    verdict: Verdict
    done: Counter[str] = field(default_factory=Counter)
    settled: bool = False
    told: dict[str, object] = field(default_factory=dict)
    seconds: float = 0.0
    log: str = ""

    @property
    def ok(self) -> bool:
        """The verdict is good, and the server finds nothing wrong with itself."""
        return self.verdict.ok and self.told.get("ok", True) is not False


async def run(plan: Plan, say: Callable[[str], None] = lambda _: None) -> Report:
    """Everything up, the faults, everything quiet, the verdict."""
    with tempfile.TemporaryDirectory(prefix="campaign-") as name:
        async with Room(
            sensors=plan.sensors, seconds=plan.seconds + 60, rate_hz=plan.rate_hz, speed=plan.speed,
            flash=plan.flash, seed=plan.seed,
        ) as room:  # fmt: skip
            campaign = _Campaign(plan, room, Path(name), say)
            try:
                return await campaign.run()
            finally:
                campaign.close()


class _Campaign:
    def __init__(self, plan: Plan, room: Room, folder: Path, say: Callable[[str], None]) -> None:
        self._plan, self._room, self._say = plan, room, say
        self._broker = CampaignBroker(plan.broker, folder)
        self._broker.start()
        self._server = self._make_server(folder)
        self._line = HomeLine(self._broker.port, self._server.gateway)
        gateway_mistake = None if plan.mistake == "ack-before-commit" else plan.mistake
        self._gateway = GatewayProcess(
            folder,
            tenant=self._server.tenant,
            gateway=self._server.gateway,
            mqtt_url=self._broker.url,
            radio=room.moniker,
            sensors=[
                (key, sensor.address.to_string(False), sensor.placement)
                for key, sensor in zip(self._server.sensors, room.sensors, strict=True)
            ],
            mistake=gateway_mistake,
        )
        self._done: Counter[str] = Counter()
        self._told = 0, False
        """Items committed, and whether their verdict was good."""
        self._home = asyncio.Lock()
        """One fault of the gateway's process or the broker at a time."""

    def _make_server(self, folder: Path) -> Server:
        plan = self._plan
        if plan.server == "platform":
            from benchmarks.campaign.real_server import PlatformServer  # noqa: PLC0415 - the whole server's packages

            return PlatformServer(self._broker.url, sensors=plan.sensors)
        return VerifyingServer(
            self._broker.port,
            folder / "server.db",
            sensors=plan.sensors,
            ack_first=plan.mistake == "ack-before-commit",
        )

    def close(self) -> None:
        self._gateway.kill()
        self._line.close()
        self._server.close()
        self._broker.kill()

    async def run(self) -> Report:
        began = time.monotonic()
        self._gateway.start()
        await self._begin_recording()
        start = time.monotonic()
        working: list[asyncio.Task[None]] = []
        for fault in self._plan.faults:
            await asyncio.sleep(max(0.0, start + fault.at_s - time.monotonic()))
            due = time.monotonic()
            await self._until(self._well, self._plan.pace_s)
            start += time.monotonic() - due
            working.append(asyncio.create_task(self._carry_out(fault)))
        await asyncio.sleep(max(0.0, start + self._plan.seconds - time.monotonic()))
        await asyncio.gather(*working)
        settled = await self._settle()
        report = Report(self._plan, judge(self._tapes(), self._server.items()), self._done, settled)
        report.told = self._server.told()
        report.seconds = time.monotonic() - began
        report.log = f"{self._gateway.last_words(4000)}\n{report.told.pop('log', '')}"
        return report

    def _tapes(self) -> dict[UUID, Any]:
        return {key: self._room.tape(number) for number, key in enumerate(self._server.sensors)}

    # --- before and after --------------------------------------------------------------------------------

    async def _begin_recording(self) -> None:
        """Start, said again until the gateway says that it records; every sample from the first on counts.

        The first fault comes when something of each sensor is stored: a gateway that is killed between a sensor's
        very first sample and the writing down of it knows nothing of that sensor, and cannot miss it.
        """
        await self._say_until(
            "start", lambda status: status.get("recording") == str(self._gateway.recording),
            recording=str(self._gateway.recording), exercise="generic",
        )  # fmt: skip
        await self._until(self._begun, _READY_S)

    def _begun(self) -> bool:
        keys = [ChunkKey.parse(key) for key in self._server.committed_keys() if key.startswith("c:")]
        return {stream_id(sensor, "imu") for sensor in self._server.sensors} <= {key.stream for key in keys}

    async def _settle(self) -> bool:
        """The sensors are taken off, what is owed arrives, Stop: True when all of it came."""
        if not self._gateway.running:
            self._gateway.start()
        self._room.freeze()
        self._say("       the sensors are taken off")
        settled = await self._as_long_as_it_comes(self._all_here)
        self._say(f"       what they hold has {'' if settled else 'NOT '}arrived")
        stopped = await self._say_until("stop", lambda status: status.get("recording") is None)
        self._say("       the recording is closed")
        told = await self._as_long_as_it_comes(self._all_told)
        self._say(f"       what was lost is {'' if told else 'NOT '}told")
        quiet = await self._as_long_as_it_comes(self._nothing_left)
        return settled and stopped and told and quiet

    def _well(self) -> bool:
        """The gateway says that every sensor is connected."""
        sensors = self._line.status.get("sensors", [])
        return len(sensors) == self._plan.sensors and all(each["connected"] for each in sensors)

    def _all_here(self) -> bool:
        """Every sample that was not overwritten is committed; by the keys alone, since this is asked often."""
        keys = [ChunkKey.parse(key) for key in self._server.committed_keys() if key.startswith("c:")]
        for sensor, tape in self._tapes().items():
            stream = stream_id(sensor, "imu")
            for boot in tape.boots:
                missing = ~tape.unfreed_overwritten(boot)
                for key in keys:
                    if (key.stream, key.boot) == (stream, boot):
                        missing[key.first : key.first + key.n] = False
                if missing.any():
                    return False
        return True

    def _all_told(self) -> bool:
        """The verdict is good: the manifest is there, and each gap stands in it. Judged anew when something came."""
        keys = len(self._server.committed_keys())
        if self._told[0] != keys:
            self._told = keys, judge(self._tapes(), self._server.items()).ok
        return self._told[1]

    async def _as_long_as_it_comes(self, condition: Callable[[], bool]) -> bool:
        """True once it holds; False when nothing new has come for too long.

        No deadline: on a slow machine everything takes longer, and as long as something arrives it is waited for.
        """
        began = time.monotonic()
        while not condition():
            still_s = time.monotonic() - max(began, self._server.news_at)
            if still_s > (self._plan.patience_s if self._nothing_left() else _STILL_S):
                return False
            await asyncio.sleep(0.1)
        return True

    def _nothing_left(self) -> bool:
        self._server.committed_keys()  # looks for news
        return self._line.hears_of_nothing_left(self._server.news_at)

    async def _say_until(self, do: str, done: Callable[[dict[str, Any]], bool], **arguments: str) -> bool:
        for _ in range(int(_READY_S / _AGAIN_S)):
            self._line.command(do, **arguments)
            if await self._until(lambda: bool(self._line.status) and done(self._line.status), _AGAIN_S):
                return True
        return False

    @staticmethod
    async def _until(condition: Callable[[], bool], timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.1)
        return True

    # --- faults ------------------------------------------------------------------------------------------

    async def _carry_out(self, fault: Fault) -> None:
        self._done[fault.kind] += 1
        who = "" if fault.sensor is None else f" (sensor {fault.sensor})"
        self._say(f"{fault.at_s:6.1f} s  {fault.kind}{who}")
        await _FAULTS[fault.kind](self, fault)

    async def _link_lost(self, fault: Fault) -> None:
        self._room.sensors[fault.sensor or 0].drop_link()

    async def _out_of_range(self, fault: Fault) -> None:
        """For at most half of what the memory holds: all of it must come back."""
        held_s = self._plan.flash / self._plan.rate_hz / self._plan.speed
        self._room.sensors[fault.sensor or 0].lose_range(min(1.0 + 5.0 * fault.size, held_s / 2))

    async def _overflow(self, fault: Fault) -> None:
        """Out of range until the memory has overwritten up to half of itself: real gaps."""
        held_s = self._plan.flash / self._plan.rate_hz / self._plan.speed
        self._room.sensors[fault.sensor or 0].lose_range(held_s * (1.05 + 0.45 * fault.size))

    async def _reboot(self, fault: Fault) -> None:
        self._room.sensors[fault.sensor or 0].reboot()

    async def _mtu(self, fault: Fault) -> None:
        sensor = self._room.sensors[fault.sensor or 0]
        sensor.set_mtu(23 if fault.size < 0.3 else round(23 + 224 * fault.size))
        sensor.drop_link()

    async def _sensor_bond(self, fault: Fault) -> None:
        sensor = self._room.sensors[fault.sensor or 0]
        await sensor.forget_bonds()
        sensor.drop_link()

    async def _half_open(self, fault: Fault) -> None:
        await self._room.half_open(fault.sensor or 0)

    async def _kill_gateway(self, fault: Fault, *, bonds: bool = True) -> None:
        async with self._home:
            self._gateway.kill()
            if not bonds:
                self._gateway.forget_bonds()
            await asyncio.sleep(1.5 * fault.size)
            self._gateway.start()

    async def _gateway_bond(self, fault: Fault) -> None:
        await self._kill_gateway(fault, bonds=False)

    async def _restart_broker(self, fault: Fault) -> None:
        async with self._home:
            await asyncio.to_thread(self._broker.kill)
            await asyncio.sleep(2.0 * fault.size)
            await asyncio.to_thread(self._broker.start)

    async def _server_dies(self, fault: Fault) -> None:
        await self._server.die(fault.kind.rpartition(" ")[2], 1.0 + 2.0 * fault.size)

    async def _adapter(self, fault: Fault) -> None:
        await self._room.unplug(0.5 + 3.0 * fault.size)

    async def _poison(self, _fault: Fault) -> None:
        self._line.poison()


_FAULTS: dict[str, Callable[[_Campaign, Fault], Coroutine[Any, Any, None]]] = {
    "link lost": _Campaign._link_lost,
    "out of range": _Campaign._out_of_range,
    "memory overflows": _Campaign._overflow,
    "sensor reboot": _Campaign._reboot,
    "MTU changed": _Campaign._mtu,
    "bond lost by sensor": _Campaign._sensor_bond,
    "half-open link": _Campaign._half_open,
    "gateway kill -9": _Campaign._kill_gateway,
    "bond lost by gateway": _Campaign._gateway_bond,
    "broker restart": _Campaign._restart_broker,
    "server dies before commit": _Campaign._server_dies,
    "server dies before ack": _Campaign._server_dies,
    "adapter gone and back": _Campaign._adapter,
    "poison messages": _Campaign._poison,
}
