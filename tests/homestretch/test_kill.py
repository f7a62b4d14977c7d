"""Gateway, ingest worker and database are killed while a sensor streams: nothing that reached the outbox is lost.

Everything is real and in processes of its own: a Bluetooth LE peripheral, bleak, SQLite, MQTT, PostgreSQL.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from homestretch.demo import clinic as clinics
from homestretch.demo.cohort import Dose, PatientStory
from homestretch.demo.home import LiveHome, Remote, Wearing
from homestretch.demo.standing import Standing, standing
from rtm_firmware_sim import body
from rtm_server import verify
from rtm_server.embedded_broker import free_port
from rtm_server.store import Unavailable
from rtm_signal.recording_file import write_recording

EXERCISE, PLACEMENT = "shoulder_abduction", "upper_arm"
SPEED = 4.0
STILL_S = 120.0
"""Nothing new for so long: more than an item waits that is sent again (45 s) and a link that is lost (30 s)."""
SEED = int(os.environ.get("RTM_TEST_SEED", "0")) or random.SystemRandom().randint(1, 10**6)

_INDICES = """
SELECT s.first_index, s.last_index, s.lost::text AS lost,
       (SELECT count(DISTINCT i) FROM chunk c, generate_series(c.first_index, c.first_index + c.n - 1) AS i
        WHERE c.tenant_id = s.tenant_id AND c.stream_id = s.stream_id AND c.boot = s.boot
          AND i BETWEEN s.first_index AND s.last_index) AS stored
FROM recording_stream s WHERE s.tenant_id = %s AND s.recording_id = %s
"""

_DISTINCT = """
SELECT coalesce(sum(upper(r) - lower(r)), 0) AS samples FROM (
    SELECT unnest(range_agg(int8range(first_index, first_index + n))) AS r FROM chunk WHERE tenant_id = %s) AS spans
"""


def _story() -> PatientStory:
    started = datetime.now(UTC).date() - timedelta(days=2)
    return PatientStory(
        0, "Kit", "Kilroy", date(1950, 1, 1), "America/New_York", "kill", started, (PLACEMENT,),
        (Dose(EXERCISE, 1, 10),), (), (), (),
    )  # fmt: skip


@contextmanager
def _remote(platform: Standing, gateway: UUID) -> Iterator[Remote]:
    remote = Remote(platform.mqtt_url, gateway)
    try:
        yield remote
    finally:
        remote.close()


def _recording(platform: Standing, tenant: UUID, recording: UUID, words: str) -> dict[str, Any]:
    """The recording as stored, once it is whole or nothing has been added to it for too long."""
    row: dict[str, Any] | None = None

    def stored() -> int:
        nonlocal row
        with platform.store.tenant_tx(tenant) as tx:
            row = tx.execute(_INDICES, (tenant, recording)).fetchone()
        return 0 if row is None else int(row["stored"])

    _as_long_as_it_comes(stored, lambda: row is not None and row["stored"] == row["last_index"] + 1)
    if row is None:
        pytest.fail(f"seed {SEED}: the recording's manifest did not arrive\n{words}")
    return row


def _as_long_as_it_comes(count: Callable[[], int], done: Callable[[], bool]) -> None:
    """Wait until it is done, or until the count has stood still for too long: on a slow machine all takes longer."""
    best, since = count(), time.monotonic()
    while not done() and time.monotonic() - since < STILL_S:
        time.sleep(0.2)
        now = count()
        if now > best:
            best, since = now, time.monotonic()


def _stored(platform: Standing, tenant: UUID) -> int:
    """Distinct samples in the database; -1 while it does not answer."""
    try:
        with platform.store.tenant_tx(tenant) as tx:
            row = tx.execute(_DISTINCT, (tenant,)).fetchone()
    except Unavailable:
        return -1
    return 0 if row is None else int(row["samples"])


def _wait_for_samples(platform: Standing, tenant: UUID, wanted: int) -> None:
    count = partial(_stored, platform, tenant)
    _as_long_as_it_comes(count, lambda: count() >= wanted)


def _kill(victim: str, platform: Standing, home: LiveHome, rng: random.Random) -> None:
    """SIGKILL, and a start a moment later, as a supervisor would."""
    if victim == "gateway":
        platform.children.kill(home.gateway_process)
        home.start_gateway()
    elif victim == "ingest":
        platform.children.kill("ingest")
        platform.start("ingest")
    else:
        assert platform.embedded is not None
        pid = platform.embedded.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        time.sleep(rng.uniform(0.0, 1.0))
        platform.embedded.start()


@pytest.mark.timeout(900)
def test_kill_of_gateway_ingest_and_database_loses_and_doubles_nothing(tmp_path: Path) -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    motion = body.exercise(EXERCISE, repetitions=20, rate_hz=50.0, seed=SEED, placements=(PLACEMENT,))
    samples = len(motion.t)
    path = tmp_path / "worn.csv"
    write_recording(path, motion.recording)
    wanted = samples - samples % 250  # the last part is sealed by Stop, wherever that falls
    recording = uuid4()
    with standing(http_port=free_port()) as platform:
        clinic = clinics.create(platform.store, (_story(),), datetime.now(UTC))
        platform.start("ingest", "worker")
        wearing = Wearing(clinic.tenant, clinic.gateway, clinic.homes[0].sensors, path)
        home = LiveHome(platform, "killed", wearing)
        with _remote(platform, clinic.gateway) as remote:
            home.start_gateway()
            assert remote.wait_online(STILL_S)
            remote.command("start", recording=str(recording), exercise=EXERCISE)
            home.start_wearable(speed=SPEED, seed=SEED)
            _wait_for_samples(platform, clinic.tenant, 1)
            victims = ["gateway", "ingest", "database", "gateway"]
            rng.shuffle(victims)
            for victim in victims:
                time.sleep(rng.uniform(0.5, 4.0))
                _kill(victim, platform, home, rng)
                print(f"killed {victim}")
            # All of it: what came while the gateway was dead is still in the sensor's memory.
            _wait_for_samples(platform, clinic.tenant, wanted)
            time.sleep(2.0)
            remote.command("stop")
        words = "\n".join(
            f"{name}:\n{child.last_words(30)}" for name, child in platform.children.running.items()
        )
        row = _recording(platform, clinic.tenant, recording, words)
        told = f"seed {SEED}, {row}\n{words}"
        assert row["lost"] == "{}", told
        assert row["first_index"] == 0, told
        assert row["stored"] == row["last_index"] + 1, told
        assert row["stored"] >= wanted, told
        result, faults = verify.check(platform.store, platform.settings.data_dir)
        assert result["ok"], f"seed {SEED}: {faults}"
        assert result["chunks"]["missing"] == 0
        assert result["chunks"]["duplicated"] == 0
