"""Chunk, outbox and uplink: size, time and CPU, each beside the least that the same bytes cost.

    python -m benchmarks.outbox [--days 3] [--sensors 1] [--json]

With RTM_SHARED_DATA set, sizes are taken from real recordings too. One run on a busy machine moves by 30 %:
trust the ratios, taken in one run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from binascii import crc_hqx
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from benchmarks.campaign.broker import CampaignBroker
from numpy.typing import NDArray

from rtm_gateway.drivers.homestretch import DATA, HomestretchDecoder
from rtm_gateway.outbox import Entry, Outbox
from rtm_gateway.recorder import Recorder
from rtm_gateway.recording_life import RecordingLife
from rtm_gateway.sealer import ARRIVAL_STEP_NS, Sealer
from rtm_gateway.uplink import Broker, Uplink
from rtm_signal.chunk import Anchors, Channel, Chunk, decode, encode, peek, stream_id
from rtm_signal.chunk_codec import encode_anchors, encode_values

TENANT, SENSOR, GATEWAY, BOOT = (UUID(int=n) for n in range(1, 5))
RATE_HZ = 100.0
ACC, GYR = (
    4096 / 9.80665,
    16.4 * 180 / np.pi,
)  # steps per m/s2 (8 g) and rad/s (2000 deg/s): usual part settings
CHANNELS = tuple(Channel(name, "m/s2", 1 / ACC) for name in ("ax", "ay", "az")) + tuple(
    Channel(name, "rad/s", 1 / GYR) for name in ("gx", "gy", "gz")
)
Samples = NDArray[np.int16]


def synthetic(n: int, seed: int = 1) -> Samples:
    """(n, 6): repetitions of 2.5 s and rests, with the noise of a usual MEMS part (MPU-6000 class)."""
    rng = np.random.default_rng(seed)
    t = np.arange(n) / RATE_HZ
    active = (t // 30) % 2 == 0
    angle = np.where(active, 0.6 * (1 - np.cos(2 * np.pi * t / 2.5)), 0.0)
    rate = np.gradient(angle, 1 / RATE_HZ)
    tremor = rng.normal(0, 0.05, (n, 3)).cumsum(axis=0) * 0.02
    acc = 9.80665 * np.stack([np.sin(angle), np.zeros(n), np.cos(angle)], 1) + tremor
    gyr = np.stack([0.1 * rate, rate, 0.05 * rate], 1)
    si = np.hstack([(acc + rng.normal(0, 0.02, (n, 3))) * ACC, (gyr + rng.normal(0, 0.0015, (n, 3))) * GYR])
    return np.clip(np.rint(si), -32768, 32767).astype(np.int16)


def real() -> dict[str, Samples]:
    """Real movement from RTM_SHARED_DATA, quantised as above: 50 Hz physiotherapy, 95 Hz free movement."""
    root = os.environ.get("RTM_SHARED_DATA")
    found: dict[str, Samples] = {}
    for name, every, infix in (("repetitions_shoulder", 1, ""), ("orientation", 3, "_imu")):
        path = Path(root or "") / f"{name}.npz"
        if root and path.exists():
            with np.load(path) as arrays:
                keys = [key.removesuffix(f"{infix}_acc") for key in arrays if key.endswith("_acc")]
                acc = np.concatenate([arrays[f"{key}{infix}_acc"][::every] for key in keys])
                gyr = np.concatenate([arrays[f"{key}{infix}_gyr"][::every] for key in keys])
            steps = np.rint(np.hstack([acc * ACC, gyr * GYR]))
            found[name] = np.clip(steps, -32768, 32767).astype(np.int16)
    return found


def chunk_of(values: Samples, first: int, per_notification: int, seed: int = 0) -> Chunk:
    """A chunk with the anchors of a real link: arrivals scattered by milliseconds, kept to 50 us."""
    n = len(values)
    offset = np.arange(0, n, per_notification, dtype=np.int64)
    arrival = (first + offset) * 10_000_000 + np.random.default_rng(seed).exponential(8e6, len(offset))
    return Chunk(
        tenant=TENANT,
        stream=stream_id(SENSOR, "imu"),
        boot=1,
        first=first,
        n=n,
        t_key=1_772_445_600_000_000 + first * 10_000,
        channels=CHANNELS,
        rate_hz=RATE_HZ,
        start_us=1_772_445_600_000_000 + first * 10_000,
        period_ns=1e7,
        tick_hz=32768.0,
        values=values,
        anchors=Anchors(
            offset,
            ((first + offset) * 32768 // 100).astype(np.uint64),
            (arrival // ARRIVAL_STEP_NS * ARRIVAL_STEP_NS).astype(np.uint64),
        ),
    )


def sizes(samples: Samples, seconds: float, per_notification: int) -> dict[str, float]:
    """Bytes per sample: payload alone, anchors, and the whole chunk."""
    step = round(seconds * RATE_HZ)
    starts = range(0, len(samples) - step + 1, step)
    chunks = [chunk_of(samples[at : at + step], at, per_notification, at) for at in starts]
    total = len(chunks) * step
    return {
        "payload": sum(len(encode_values(each.values)[1]) for each in chunks) / total,
        "anchors": sum(len(encode_anchors(each.anchors, each.n)[1]) for each in chunks) / total,
        "chunk": sum(len(encode(each)) for each in chunks) / total,
    }


def microseconds(work: Callable[[], object], repeat: int = 300) -> float:
    """Median time of one call, us."""
    times = []
    for _ in range(repeat):
        began = time.perf_counter_ns()
        work()
        times.append(time.perf_counter_ns() - began)
    return statistics.median(times) / 1e3


def codec() -> dict[str, float]:
    """us for a chunk of 5 s (500 samples of 6 axes, 50 anchors)."""
    chunk = chunk_of(synthetic(500), 0, 10)
    data = encode(chunk)
    return {
        "encode_us": microseconds(lambda: encode(chunk)),
        "decode_us": microseconds(lambda: decode(data)),
        "peek_us": microseconds(lambda: peek(data)),
    }


def frames(samples: Samples, per_notification: int) -> list[bytes]:
    """Notifications of the homestretch profile (docs/reference/homestretch-profile.md)."""
    found = []
    for first in range(0, len(samples), per_notification):
        body = struct.pack("<HI", first & 0xFFFF, first * 32768 // 100)
        body += samples[first : first + per_notification].astype("<i2").tobytes()
        found.append(body + struct.pack("<H", crc_hqx(body, crc_hqx((1).to_bytes(4, "little"), 0xFFFF))))
    return found


def gateway_cpu(per_notification: int, folder: Path) -> dict[str, float]:
    """CPU from the notification to the synced outbox, beside sqlite's own insert of the same bytes."""
    samples = synthetic(60_000)
    notifications = frames(samples, per_notification)
    decoder = HomestretchDecoder(1)
    (spec,) = decoder.streams()
    outbox = Outbox(folder / f"cpu{per_notification}.db", bytes(32), limit_bytes=1 << 30)
    recorder = Recorder(outbox, Sealer(TENANT, BOOT), RecordingLife(TENANT, GATEWAY))
    recorder.add_sensor(SENSOR, "wrist", has_flash=False)

    async def feed() -> tuple[float, float]:
        recorder.open("start")
        began, decoding = time.process_time(), 0.0
        for number, data in enumerate(notifications):
            at = time.thread_time()
            blocks = decoder.feed(DATA, data, number * per_notification * 10_000_000)
            decoding += time.thread_time() - at
            for block in blocks:
                recorder.on_block(SENSOR, spec, block)
            if number * per_notification % 1000 == 0:  # two chunks a transaction, as two sensors would
                await recorder.store()
        recorder.close("stop")
        await recorder.store()
        return time.process_time() - began, decoding

    total, decoding = asyncio.run(feed())
    entries = drained(outbox)
    outbox.close()
    insert = sqlite_insert([entries[at : at + 2] for at in range(0, len(entries), 2)], folder)
    return {
        "us_per_notification": total / len(notifications) * 1e6,
        "decode_us_per_notification": decoding / len(notifications) * 1e6,
        "us_per_sample": total / len(samples) * 1e6,
        "times_sqlite_insert": total / insert,
        "stored_bytes_per_sample": sum(len(each.data) for each in entries) / len(samples),
    }


def drained(outbox: Outbox) -> list[Entry]:
    """Everything that waits."""
    found: list[Entry] = []
    while taken := outbox.take(1 << 24, 0.0):
        found += taken
    return sorted(found)


def sqlite_insert(batches: list[list[Entry]], folder: Path) -> float:
    """CPU seconds of sqlite alone for the same bytes in the same transactions: WAL, FULL, two columns."""
    path = folder / "plain.db"
    path.unlink(missing_ok=True)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("pragma journal_mode = wal")
    db.execute("pragma synchronous = full")
    db.execute("create table item (key text primary key, data blob)")
    began = time.process_time()
    for batch in batches:
        db.execute("begin")
        for entry in batch:
            db.execute("insert into item values (?, ?)", (entry.key, entry.data))
        db.execute("commit")
    spent = time.process_time() - began
    db.close()
    return spent


SERVER = """
import sys
from uuid import UUID
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from rtm_signal.chunk import peek
from rtm_signal.wire import INGEST_FILTER, Ack, ack_topic, gateway_of, unpack_batch
def arrived(client, _, message):
    keys = tuple(str(peek(item.data).key) for item in unpack_batch(message.payload))
    client.publish(ack_topic(gateway_of(message.topic)), Ack(keys).to_json(), qos=1)
client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
client.on_message = arrived
client.on_subscribe = lambda *_: print("ready", flush=True)
client.connect("127.0.0.1", int(sys.argv[1]))
client.subscribe(INGEST_FILTER, qos=1)
client.loop_forever()
"""


@contextlib.contextmanager
def broker_and_server(folder: Path) -> Iterator[str]:
    """The embedded broker, and a server that acknowledges at once: what is measured is the gateway."""
    broker = CampaignBroker("iotcore", folder)
    broker.start()
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(broker.port)], stdout=subprocess.PIPE)
    assert server.stdout is not None  # noqa: S101  # a pipe was asked for
    server.stdout.readline()
    try:
        yield broker.url
    finally:
        server.kill()
        server.wait()
        broker.kill()


def drain(days: float, sensors: int, folder: Path) -> dict[str, float]:
    """How long it takes to send days of continuous recording and to see them acknowledged."""
    count = round(days * 86_400 / 5) * sensors
    outbox = Outbox(folder / "drain.db", bytes(32), limit_bytes=1 << 40)
    template = [chunk_of(synthetic(500, seed), 0, 10, seed) for seed in range(20)]
    numbers = itertools.count()
    filling = time.perf_counter()
    left = count
    while left:
        batch = [replace(template[n % 20], first=n * 500) for n in itertools.islice(numbers, min(left, 500))]
        outbox.put([Entry(str(each.key), 1, encode(each)) for each in batch])
        left -= len(batch)
    filling = time.perf_counter() - filling

    async def run(url: str) -> float:
        uplink = Uplink(Broker.from_url(url), GATEWAY, outbox)
        task = asyncio.create_task(uplink.run())
        while not uplink.connected:
            await asyncio.sleep(0.01)
        began = time.perf_counter()
        while outbox.pending():
            await asyncio.sleep(0.05)
        spent = time.perf_counter() - began
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return spent

    with broker_and_server(folder) as url:
        spent = asyncio.run(run(url))
    size = (folder / "drain.db").stat().st_size
    outbox.close()
    return {
        "days": days,
        "sensors": sensors,
        "chunks": count,
        "file_mb": size / 1e6,
        "file_bytes_per_sample": size / count / 500,
        "fill_s": filling,
        "drain_s": spent,
        "chunks_per_s": count / spent,
        "times_real_time": days * 86_400 / spent,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=float, default=3.0, help="of absence, recorded without a pause")
    parser.add_argument("--sensors", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    recordings = {"synthetic": synthetic(60_000), **real()}
    report: dict[str, Any] = {
        "bytes_per_sample": {
            f"{name}, {seconds:g} s, {each} a notification": sizes(samples, seconds, each)
            for name, samples in recordings.items()
            for seconds, each in ((1, 10), (5, 1), (5, 10), (10, 10))
        },
        "codec": codec(),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report["gateway"] = {f"{each} a notification": gateway_cpu(each, folder) for each in (1, 10)}
        report["drain"] = drain(options.days, options.sensors, folder)
    if options.json:
        print(json.dumps(report))
        return
    for title, rows in report.items():
        print(title)
        for row, figures in rows.items():
            cells = figures.items() if isinstance(figures, dict) else [("", figures)]
            print(f"  {row:44}", "  ".join(f"{what} {figure:.2f}" for what, figure in cells))


if __name__ == "__main__":
    main()
