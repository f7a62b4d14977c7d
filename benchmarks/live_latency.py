"""How late the patient's page is: a simulated limb moves, the page's stream shows it. End to end, real parts.

Run: `python benchmarks/live_latency.py [--sensors 1|2] [--steps 60] [--seed 1]`. Simulated sensors (100 Hz, one
notification a tenth of a second) -> Bluetooth LE (bumble) -> gateway -> MQTT -> pages -> server-sent events of a
signed-in patient. With two sensors, on thigh and shank, the page shows the angle of the knee; with one its tilt.

The joint bends by 45 degrees within 0.1 s and straightens, at random moments; the middle of a turn is the movement,
the first angle more than 22.5 degrees from the one before shows it. The axis of the knee is learned from the
movement: turns before the first angle are not counted, and their number is printed. One monotonic clock stamps both,
so no clock fit is trusted.
The count travels in the message of its block: its own figure is from the counter's decision (the message's `t`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
from paho.mqtt.client import Client, MQTTMessage

from homestretch.demo import clinic as clinics
from homestretch.demo.cohort import Dose, PatientStory
from homestretch.demo.home import Remote
from homestretch.demo.patient_page import PageEvent, PatientPage
from homestretch.demo.run import free_http_port, wait_for_pages
from homestretch.demo.standing import Standing, standing
from rtm_firmware_sim.air import Air
from rtm_firmware_sim.playback import Playback
from rtm_firmware_sim.simulate import make_sensors
from rtm_server import mqtt
from rtm_server.embedded_broker import free_port
from rtm_signal import wire
from rtm_signal.recording import Recording, SensorRecording

RATE_HZ = 100.0
TURN_S = 0.1
STEP_DEG = 45.0
GOAL_MS = 300.0
NAME = "Latency"


@dataclass(frozen=True, slots=True)
class Worn:
    """What is worn: the share of the joint's turn that each sensor makes."""

    exercise: str
    shares: Mapping[str, float]


WORN = {
    1: Worn("shoulder_abduction", {"upper_arm": 1.0}),
    2: Worn("heel_slide", {"thigh": 0.0, "shank": 1.0}),
}
LEAD_S = 10.0  # until the page is open, the limb rests


def limb(worn: Worn, steps: int, seed: int) -> tuple[Recording, list[float]]:
    """The sensors' samples, and the middle of each turn, s from the first sample."""
    rng = np.random.default_rng(seed)
    begins = LEAD_S + np.cumsum(rng.uniform(1.2, 2.0, steps))
    t = np.arange(0.0, begins[-1] + 3.0, 1 / RATE_HZ)
    turned = np.zeros_like(t)
    for number, begin in enumerate(begins):
        s = np.clip((t - begin) / TURN_S, 0.0, 1.0)
        turned += (-1) ** number * (10 * s**3 - 15 * s**4 + 6 * s**5)  # least jerk (Flash and Hogan 1985)
    turned *= np.radians(STEP_DEG)
    sensors = {place: _felt(t, share * turned, rng) for place, share in worn.shares.items()}
    return Recording(sensors), list(begins + TURN_S / 2)


def _felt(t: np.ndarray, angle: np.ndarray, rng: np.random.Generator) -> SensorRecording:
    """A sensor that turns about its y axis under gravity, with noise."""
    zero = np.zeros_like(t)
    gyr = np.stack([zero, -np.gradient(angle, 1 / RATE_HZ), zero], axis=1)
    acc = 9.81 * np.stack([np.sin(angle), zero, np.cos(angle)], axis=1)
    return SensorRecording(t, acc + rng.normal(0, 0.03, acc.shape), gyr + rng.normal(0, 0.003, gyr.shape))


class Body:
    """The simulated sensors in a thread of their own; `began` is the monotonic time of the first sample."""

    def __init__(self, recording: Recording, port: int, seed: int) -> None:
        self.began: float | None = None
        self._recording = recording
        self._port = port
        self._seed = seed
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._off = asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._run()))

    def __enter__(self) -> Body:
        self._thread.start()
        self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._off.set)
        self._thread.join(10)
        self._loop.close()

    async def _run(self) -> None:
        playback = _Noted(self._note)
        async with Air(seed=self._seed) as air:
            for sensor in make_sensors("homestretch", self._recording, playback, seed=self._seed, name=NAME):
                await air.add(sensor)
            await air.serve(f"tcp-server:127.0.0.1:{self._port}")
            self._ready.set()
            await self._off.wait()

    def _note(self) -> None:
        if self.began is None:
            self.began = time.monotonic()


class _Noted(Playback):
    """Tells when the recording's time begins."""

    def __init__(self, on_join: Callable[[], None]) -> None:
        super().__init__()
        self._on_join = on_join

    def join(self, sensor: str) -> tuple[float, bool]:
        joined = super().join(sensor)
        self._on_join()
        return joined


class Decisions:
    """When the gateway's counter decided: count -> the message's `t`, on the monotonic clock."""

    def __init__(self, platform: Standing, clinic: clinics.DemoClinic) -> None:
        self.at: dict[int, float] = {}
        self._offset = time.monotonic() - time.time()
        self._topic = wire.live_topic(clinic.gateway)
        self._client = mqtt.connect(
            platform.mqtt_url,
            "live-latency",
            on_connect=self._subscribe,
            on_message=self._heard,
        )
        self._client.loop_start()

    def _subscribe(self, client: Client) -> None:
        client.subscribe(self._topic, 0)

    def _heard(self, client: Client, message: MQTTMessage) -> None:
        client.ack(message.mid, message.qos)
        said = json.loads(message.payload)
        self.at.setdefault(int(said["count"]), float(said["t"]) + self._offset)

    def close(self) -> None:
        """Leave the broker."""
        self._client.disconnect()
        self._client.loop_stop()


def story(worn: Worn) -> PatientStory:
    """One patient with this exercise in the plan."""
    started = datetime.now(UTC).date() - timedelta(days=2)
    return PatientStory(
        0, "Lat", "Ency", date(1950, 1, 1), "America/New_York", "live", started, tuple(worn.shares),
        (Dose(worn.exercise, 1, 30),), (), (), (),
    )  # fmt: skip


def sensors_of(clinic: clinics.DemoClinic) -> list[dict[str, str]]:
    """The gateway's list of sensors."""
    sensors = clinic.homes[0].sensors
    return [
        {"sensor": str(sensor), "profile": "homestretch", "placement": place, "name": name}
        for place, sensor in sensors.items()
        for name in (NAME if len(sensors) == 1 else f"{NAME}-{place}",)
    ]


@contextmanager
def home_at(platform: Standing, clinic: clinics.DemoClinic, samples: Recording, seed: int) -> Iterator[Body]:
    """The patient's home: a body on the air and a gateway that has reached the broker."""
    port, folder = free_port(), platform.folder / "latency-gateway"
    folder.mkdir(mode=0o700)
    environment = {
        "RTM_TENANT": str(clinic.tenant),
        "RTM_GATEWAY": str(clinic.gateway),
        "RTM_DATA_DIR": str(folder),
        "RTM_RADIO": f"bumble:tcp-client:127.0.0.1:{port}",
        "RTM_SENSORS": json.dumps(sensors_of(clinic)),
        "RTM_OPEN_ON_MOTION": "false",
    }
    remote = Remote(platform.mqtt_url, clinic.gateway)
    try:
        with Body(samples, port, seed) as body:
            platform.children.start("latency-gateway", ["gateway"], environment)
            if not remote.wait_online(60):
                raise SystemExit("The gateway did not reach the broker.")
            yield body
            platform.children.stop("latency-gateway")
    finally:
        remote.close()


def turns_seen(events: list[PageEvent], moved: list[float]) -> list[float]:
    """Latency of each turn that the page showed, s. moved: monotonic times of the middles, ascending.

    A turn is shown by the first angle that is further than half of it from the last one before the limb moved, so
    that a zero which the estimators set anew in between does not matter.
    """
    shown = [
        (event.at, float(str(event.data["angle_deg"])))
        for event in events
        if event.name == "angle" and event.data["angle_deg"] is not None
    ]
    times = [at for at, _ in shown]
    latencies: list[float] = []
    for middle, following in zip(moved, [*moved[1:], math.inf], strict=True):
        begin = bisect_right(times, middle - TURN_S / 2)
        if begin == 0:
            continue
        before = shown[begin - 1][1]
        latencies += [
            at - middle
            for at, angle in shown[begin : bisect_right(times, following - TURN_S / 2)]
            if abs(angle - before) > STEP_DEG / 2
        ][:1]
    return latencies


def counts_seen(events: list[PageEvent], decided: dict[int, float]) -> list[float]:
    """From the counter's decision to the page, s, for each new count."""
    return [
        event.at - decided[count]
        for event in events
        if event.name == "count" and (count := int(str(event.data["count"]))) > 0 and count in decided
    ]


def row(what: str, seconds: list[float]) -> str:
    """One line of the table."""
    if not seconds:
        return f"{what:<44} nothing seen"
    p50, p95 = (1000 * float(np.percentile(seconds, q)) for q in (50, 95))
    return f"{what:<44} {p50:6.0f} {p95:6.0f} {1000 * max(seconds):6.0f}   {len(seconds)}"


def main() -> None:
    """Print the percentiles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sensors", type=int, choices=sorted(WORN), default=2)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    worn = WORN[given.sensors]
    samples, middles = limb(worn, given.steps, given.seed)
    port = free_http_port(None)
    with standing(http_port=port) as platform:
        clinic = clinics.create(platform.store, (story(worn),), datetime.now(UTC))
        platform.start("serve")
        wait_for_pages(port)
        decisions = Decisions(platform, clinic)
        patient = PatientPage(port, clinic.sign_ins[1])
        try:
            with home_at(platform, clinic, samples, given.seed) as body:
                recording = patient.start(worn.exercise)
                events = list(patient.follow(recording, middles[-1] + 2.0))
                patient.stop(recording)
        finally:
            decisions.close()
        began = body.began
    if began is None:
        raise SystemExit("No sensor was ever switched on.")
    moved = [began + middle for middle in middles]
    known = [event for event in events if event.name == "angle" and event.data["angle_deg"] is not None]
    before = bisect_right(moved, known[0].at) if known else len(moved)
    latencies = turns_seen(events, moved)
    words = sorted({str(event.data["words"]) for event in known})
    print(
        f"seed {given.seed}; {', '.join(words) or 'no angle'}; milliseconds{'':<8} {'p50':>6} {'p95':>6} {'max':>6}   n"
    )
    print(row(f"angle: movement to page (goal p95 {GOAL_MS:.0f})", latencies))
    print(row(f"count: decision to page (goal {GOAL_MS:.0f})", counts_seen(events, decisions.at)))
    print(f"turns made {len(middles)}, before the first angle {before}, shown {len(latencies)}")


if __name__ == "__main__":
    main()
