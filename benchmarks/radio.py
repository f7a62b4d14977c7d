"""What a notification costs: `python benchmarks/radio.py [--wearables N] [--batch B] [--seconds S] [--rounds R]`.

First each decoder alone, in a tight loop. Then, with the simulator's air in a process of its own, N
homestretch wearables at 100 Hz, B samples a notification (1): the CPU of a plain client of bumble's that counts
notifications and decodes nothing, and that of the gateway's links, in turn, R times; the medians are compared.
A machine too busy, or too slow, for the full rate is told: what is measured then decides nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import binascii
import contextlib
import logging
import os
import random
import resource
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from statistics import median
from typing import Any, Final, NamedTuple

import numpy as np
from bumble.device import Peer

from rtm_gateway.bumble_backend import uuid_text
from rtm_gateway.clock import ClockFit, WallClock
from rtm_gateway.drivers import capture2go, homestretch, movesense, polar_pmd, recognise, witmotion
from rtm_gateway.drivers.driver import Decoder
from rtm_gateway.drivers.homestretch import HomestretchDecoder, HomestretchDriver
from rtm_gateway.link import SensorLink
from rtm_gateway.radio import Radio, open_radio

Sent = list[tuple[str, bytes]]
RATE_HZ: Final = 100.0
FULL: Final = 0.97
"""Share of the full rate below which a figure says more about the machine than about the program."""


class Measured(NamedTuple):
    """Share of a core, notifications a second, CPU us a notification."""

    share: float
    rate: float
    each_us: float


def _homestretch(n: int) -> Sent:
    sent: Sent = []
    for i in range(n):
        body = struct.pack("<HI6h", i & 0xFFFF, i * 328 & 0xFFFFFFFF, i % 999, 2, 3, 4, 5, 6)
        crc = binascii.crc_hqx(body, binascii.crc_hqx(struct.pack("<I", 1), 0xFFFF))
        sent.append((homestretch.DATA, body + struct.pack("<H", crc)))
    return sent


def _witmotion(n: int) -> Sent:
    return [(witmotion.NOTIFY, b"\x55\x61" + struct.pack("<9h", i % 999, *range(8))) for i in range(n)]


def _polar(n: int) -> Sent:
    body = np.arange(108, dtype="<i2").tobytes()
    step = round(36e9 / 52)
    return [(polar_pmd.DATA, struct.pack("<BQB", 2, 10**18 + i * step, 1) + body) for i in range(n)]


def _movesense(n: int) -> Sent:
    floats = struct.pack("<48f", *(k / 7 for k in range(48)))
    return [(movesense.NOTIFY, struct.pack("<BBI", 2, 1, round(i * 8000 / 104)) + floats) for i in range(n)]


def _capture2go(n: int) -> Sent:
    sent: Sent = []
    for i in range(n):
        body = struct.pack("<Hq", 0x0222, i * 80_000_000) + bytes(155)
        head = struct.pack("<BIB", 2, zlib.crc32(body), 163)
        sent.append((capture2go.TX, b"\xff" + head + body))
    return sent


DECODERS: dict[str, tuple[Callable[[], Decoder], Callable[[int], Sent], int]] = {
    "homestretch": (lambda: HomestretchDecoder(1), _homestretch, 1),
    "witmotion": (witmotion.WitMotionDecoder, _witmotion, 1),
    "polar-pmd": (polar_pmd.PolarDecoder, _polar, 36),
    "movesense-gsp": (lambda: movesense.MovesenseDecoder(rate_hz=104), _movesense, 8),
    "capture2go": (capture2go.Capture2GoDecoder, _capture2go, 8),
}


def decode_cost(n: int = 20_000) -> None:
    """us a notification of each decoder, best of five, and of the clock's share."""
    for name, (make, encode, samples) in DECODERS.items():
        sent, best = encode(n), float("inf")
        for _ in range(5):
            feed = make().feed
            began = time.perf_counter()
            for i, (characteristic, data) in enumerate(sent):
                feed(characteristic, data, i * 10_000_000)
            best = min(best, time.perf_counter() - began)
        each = best / n * 1e6
        print(f"decode {name:14} {each:6.2f} us/notification  {each / samples:6.2f} us/sample")
    fit, best = ClockFit(32768.0, WallClock()), float("inf")
    began = time.perf_counter()
    for i in range(n):
        fit.observe(i * 328, i * 10_000_000 + i % 7 * 1_000_000)
    best = time.perf_counter() - began
    print(f"clock  observe        {best / n * 1e6:6.2f} us/notification")


async def air(wearables: int, moniker: str) -> None:
    """Process A: simulated wearables and the radio through which they are reached."""
    from rtm_firmware_sim.air import Air  # noqa: PLC0415 - only this process needs the simulator
    from rtm_firmware_sim.simulate import wear  # noqa: PLC0415 - the same
    from rtm_signal.recording import Recording, SensorRecording  # noqa: PLC0415 - the same

    t = np.arange(0, 30, 0.01)
    wave = np.sin(t[:, None] + np.arange(3)) * 3
    async with Air() as room:
        for seed in range(wearables):
            await wear(
                room,
                "homestretch",
                Recording({"wrist": SensorRecording(t, wave, wave)}),
                seed=seed,
                loop=True,
            )
        await room.serve(moniker)
        print("ready", flush=True)
        await asyncio.Event().wait()


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def measure(count: Callable[[], int], seconds: float) -> Measured:
    """Over some seconds."""
    await asyncio.sleep(1.0)
    cpu, n, began = cpu_s(), count(), time.perf_counter()
    await asyncio.sleep(seconds)
    used, got, elapsed = cpu_s() - cpu, count() - n, time.perf_counter() - began
    return Measured(used / elapsed, got / elapsed, used / max(got, 1) * 1e6)


async def plain(radio: Radio, found: list[Any], seconds: float, batch: int) -> Measured:
    """The sketch: bumble's own client, no driver, no bleak; subscribe, start, count."""
    got = [0]

    def count(_: bytes) -> None:
        got[0] += 1

    device = await radio.adapter.device()  # type: ignore[attr-defined]  # a BumbleRadio
    connections, controls = [], []
    for known in found:
        connection = await device.connect(known.details["hci_address"])
        await connection.pair()
        peer = Peer(connection)
        await peer.request_mtu(247)
        proxies = {}
        for service in await peer.discover_services():
            for proxy in await service.discover_characteristics():
                proxies[uuid_text(proxy.uuid)] = proxy
        await proxies[homestretch.CONTROL].subscribe(lambda _: None)
        await proxies[homestretch.DATA].subscribe(count)
        controls.append(proxies[homestretch.CONTROL])
        connections.append(connection)
    for control in controls:  # when all are connected: a stream would slow the connecting of the next
        await control.write_value(bytes((homestretch.START, 1, batch)), with_response=True)
    result = await measure(lambda: got[0], seconds)
    for connection in connections:
        await connection.disconnect()
    return result


async def links(radio: Radio, found: list[Any], seconds: float, batch: int) -> Measured:
    """The gateway's links, blocks dropped at the sealer's door."""
    made = [
        SensorLink(
            device,
            HomestretchDriver(batch=batch),
            radio=radio,
            on_block=lambda _: None,
            on_event=lambda _: None,
            rng=random.Random(i),  # noqa: S311 - jitter
            streaming=False,
        )
        for i, device in enumerate(found)
    ]
    tasks = [asyncio.create_task(link.run()) for link in made]
    async with asyncio.timeout(60 + 10 * len(made)):
        while not all(link.connected for link in made):
            await asyncio.sleep(0.1)
        for link in made:
            link.set_streaming(True)
        while not all(link.counters.samples > 100 for link in made):
            await asyncio.sleep(0.1)
    await asyncio.sleep(3)  # what was missed before they had all started has come from flash by then
    result = await measure(lambda: sum(link.counters.notifications for link in made), seconds)
    for link in made:
        await link.stop()
    await asyncio.gather(*tasks)
    return result


async def gateway(wearables: int, seconds: float, batch: int, rounds: int, moniker: str) -> None:
    """Process B: the plain client and the links in turn, in one run."""
    radio = open_radio(f"bumble:{moniker}")
    found: list[Any] = []
    for _ in range(20):
        seen = await radio.scan(1.0)
        found = [device for device, data in seen if recognise(data) == "homestretch"]
        if len(found) == wearables:
            break
    full = len(found) * RATE_HZ / batch
    runs: dict[str, list[Measured]] = {"plain client": [], "gateway's links": []}
    for _ in range(rounds):
        for name, run in (("plain client", plain), ("gateway's links", links)):
            got = await run(radio, found, seconds, batch)
            runs[name].append(got)
            rates = f"{got.share:5.0%} of a core, {got.rate:6.0f} of {full:.0f}/s, {got.each_us:5.0f} us/notification"
            print(f"{name:16} {len(found)} wearables, {batch} samples a notification: {rates}", flush=True)
            await asyncio.sleep(1)
    await radio.close()
    if len(found) < wearables:
        print(f"only {len(found)} of {wearables} wearables were seen")
    judge(runs["plain client"], runs["gateway's links"], full)


def judge(plain_runs: list[Measured], link_runs: list[Measured], full: float) -> None:
    """The goal, and whether this run can say anything about it."""
    sketch = median(each.each_us for each in plain_runs)
    ours = median(each.each_us for each in link_runs)
    slowest = min(each.rate for each in plain_runs + link_runs)
    if slowest < FULL * full:
        verdict = f"undecided: this machine delivered {slowest:.0f} of {full:.0f} notifications a second"
    else:
        verdict = "met at the full rate" if ours <= 1.6 * sketch else "missed at the full rate"
    print(f"goal: at most 1.6 times the plain client: {ours / sketch:.2f} ({verdict})")
    print(f"our own share: {ours - sketch:.0f} us/notification (goal for decode to outbox: 40)")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wearables", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--batch", type=int, default=1, help="samples a notification")
    parser.add_argument("--rounds", type=int, default=1, help="how often both are measured")
    parser.add_argument("--decode-only", action="store_true")
    parser.add_argument("--air", metavar="MONIKER", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.air:
        logging.getLogger("bumble").setLevel(logging.ERROR)
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(air(options.wearables, options.air))
        return 0
    load = " ".join(f"{share:.1f}" for share in os.getloadavg())
    print(f"load before: {load} on {os.cpu_count()} cores (others' work slows every figure)")
    decode_cost()
    if options.decode_only:
        return 0
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    command = [sys.executable, __file__, "--wearables", str(options.wearables), "--air"]
    with subprocess.Popen(
        [*command, f"tcp-server:127.0.0.1:{port}"], stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            if other.stdout is None or other.stdout.readline().strip() != "ready":
                print("the simulator did not start", file=sys.stderr)
                return 1
            asyncio.run(
                gateway(
                    options.wearables,
                    options.seconds,
                    options.batch,
                    options.rounds,
                    f"tcp-client:127.0.0.1:{port}",
                )
            )
        finally:
            other.terminate()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
