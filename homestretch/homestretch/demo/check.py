"""`rtm demo --check`: one recording through everything, one line a stage with its figure.

Radio, gateway, outbox, broker, ingest, database, analysis, roll-up, page and ledger are the real ones, in
processes of their own, exactly as a clinic would run them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from http.cookiejar import CookieJar
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from homestretch.command import CommandError
from homestretch.demo import clinic as clinics
from homestretch.demo import history
from homestretch.demo.cohort import CLINIC_ZONE, Dose, Minutes, PatientStory, Session
from homestretch.demo.feed import HistoryFeed
from homestretch.demo.home import LiveHome, Remote, Wearing
from homestretch.demo.run import wait_for_pages
from homestretch.demo.sources import Source, sources
from homestretch.demo.standing import Standing, standing
from rtm_server import ledger, verify
from rtm_server.embedded_broker import free_port
from rtm_signal.recording_file import write_recording

SPEED = 8.0  # the sensor's clock stays that of the recording; samples are delivered faster
PATIENCE_S = 120.0
DAYS_BEFORE = 15
MINUTES = 21

_STORED = """
SELECT coalesce(sum(n), 0)::bigint AS samples, count(*) AS chunks,
       coalesce(sum(length(ciphertext)), 0)::bigint AS bytes
FROM chunk JOIN stream USING (tenant_id, stream_id)
WHERE tenant_id = %s AND sensor_id = %s AND received_at >= %s
"""
_RECORDING = "SELECT state, zone FROM recording WHERE tenant_id = %s AND recording_id = %s"
_LOST = """
SELECT sum(last_index - first_index + 1)::bigint AS samples,
       coalesce(sum((SELECT sum(upper(r) - lower(r)) FROM unnest(lost) AS r)), 0)::bigint AS lost
FROM recording_stream WHERE tenant_id = %s AND recording_id = %s
"""
_RESULT = """
SELECT repetitions, local_day, kind, result FROM analysis_current WHERE tenant_id = %s AND recording_id = %s
"""


def run(seed: int) -> bool:
    """Print the stages; True when every one is as it should be."""
    began = time.monotonic()
    now = datetime.now(UTC)
    every = tuple(sources(seed))
    stories = tuple(_story(number, source, now) for number, source in enumerate(every))
    port = free_port()
    print(f"seed {seed}, {len(every)} of 2 recordings at hand, delivered at {SPEED:.0f} times real time")
    stages = Stages()
    with standing(http_port=port) as platform:
        stages.say("database", platform.postgres)
        clinic = clinics.create(platform.store, stories, now)
        clinics.record_reports(platform.store, clinic, stories)
        platform.start("ingest", "worker", "worker-2", "serve")
        platform.wait_for_ingest()
        with HistoryFeed(platform, clinic, stories, seed) as feed:
            sessions = history.newest_first(stories)
            feed.send(sessions, lambda _what, _done, _of: None)
        stages.say("history", f"{len(sessions)} sessions of {DAYS_BEFORE} days in through the same door")
        for number, source in enumerate(every):
            _Journey(platform, clinic, number, source, stages).travel()
        wait_for_pages(port)
        _worklist(port, clinic, stories, stages)
        for number in range(len(every)):
            _ledger(platform, clinic, number, stages)
        _verify(platform, stages)
    stages.say("total", f"{time.monotonic() - began:.0f} s")
    return stages.good


@dataclass(slots=True)
class Stages:
    """Prints one line a stage and remembers whether all were good."""

    good: bool = True

    def say(self, stage: str, figure: str, *, good: bool = True) -> None:
        self.good = self.good and good
        print(f"{'ok  ' if good else 'FAIL'} {stage:<10} {figure}", flush=True)


def _story(number: int, source: Source, now: datetime) -> PatientStory:
    """A patient with fifteen data days and 21 minutes: the recording makes the sixteenth day."""
    zone = ZoneInfo("America/Chicago" if number % 2 else CLINIC_ZONE)
    today = now.astimezone(zone).date()
    sessions = tuple(
        Session(datetime(day.year, day.month, day.day, 9, 30, tzinfo=zone), source.exercise, 5)
        for day in (today - timedelta(days=ago) for ago in range(DAYS_BEFORE, 0, -1))
    )
    end = now.replace(second=0, microsecond=0) - timedelta(days=1)
    return PatientStory(
        number=number,
        given=("Ada", "Ben")[number % 2],
        family=("Checkley", "Proofman")[number % 2],
        born=date(1950 + number, 5, 17),
        zone=str(zone),
        story="check",
        started=today - timedelta(days=DAYS_BEFORE),
        placements=(source.placement,),
        plan=(Dose(source.exercise, 2, 10),),
        sessions=sessions,
        pain=(),
        minutes=(Minutes(end - timedelta(minutes=MINUTES), end, "Called about progress", "phone"),),
    )


class _Journey:
    """One recording on its way from the air to the day."""

    def __init__(
        self, platform: Standing, clinic: clinics.DemoClinic, number: int, source: Source, stages: Stages
    ) -> None:
        self._platform = platform
        self._clinic = clinic
        self._source = source
        self._stages = stages
        self._home = clinic.homes[number]
        self._recording = uuid4()
        self._name = f"check{number}"
        self._began = datetime.now(UTC)
        self._samples = len(source.recording.sensors[source.placement].t)

    def travel(self) -> None:
        """Send it, wait for each stage, print its figure."""
        source, clinic = self._source, self._clinic
        path = self._platform.folder / f"{self._name}.csv"
        write_recording(path, source.recording)
        self._stages.say("wearable", f"{source.title}: {self._samples} samples, {self._samples / 50:.0f} s")
        wearing = Wearing(clinic.tenant, clinic.gateway, self._home.sensors, path)
        home = LiveHome(self._platform, self._name, wearing)
        with _remote(self._platform.mqtt_url, clinic.gateway) as remote:
            home.start_gateway()
            if not remote.wait_online(PATIENCE_S):
                raise CommandError("The gateway did not reach the broker.")
            remote.command("start", recording=str(self._recording), exercise=source.exercise)
            sent = time.monotonic()
            home.start_wearable(speed=SPEED)
            whole = self._samples - self._samples % 250  # the last part is sealed by Stop
            stored = self._until(
                "samples stored",
                _STORED,
                self._home.sensor,
                self._began,
                met=lambda row: row["samples"] >= whole,
            )
            seconds = time.monotonic() - sent
            per_sample = stored["bytes"] / max(1, stored["samples"])
            self._stages.say(
                "stored",
                f"{stored['samples']} samples in {stored['chunks']} chunks after {seconds:.0f} s, "
                f"{per_sample:.1f} B a sample, live count {remote.live_count}",
            )
            time.sleep(1.0)  # the tail of the recording
            remote.command("stop")
        self._until("analysis", _RECORDING, self._recording, met=lambda row: row["state"] == "analysed")
        span = self._row(_LOST, self._recording)
        self._stages.say(
            "complete", f"{span['samples']} indices, {span['lost']} lost", good=span["lost"] == 0
        )
        self._counted(self._row(_RESULT, self._recording))
        self._platform.children.stop(home.gateway_process)
        self._platform.children.stop(f"{self._name}-wearable")

    def _counted(self, row: dict[str, Any]) -> None:
        source = self._source
        off = abs(row["repetitions"] - source.repetitions)
        rom = row["result"]["rom_deg"]["median"]
        angle = row["result"]["angle"]
        measured = "withheld" if rom is None else f"median {rom:.0f} degrees, {angle['name']}"
        self._stages.say(
            "analysis",
            f"{row['repetitions']} of {source.repetitions} repetitions; range of motion {measured}",
            good=off <= source.tolerance,
        )
        self._stages.say(
            "day", f"{row['local_day']} counts as {row['kind']}", good=row["local_day"] is not None
        )

    def _row(self, query: str, *arguments: object) -> dict[str, Any]:
        with self._platform.store.tenant_tx(self._clinic.tenant) as tx:
            return tx.execute(query, (self._clinic.tenant, *arguments)).fetchone() or {}

    def _until(
        self, what: str, query: str, *arguments: object, met: Callable[[dict[str, Any]], bool]
    ) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_S + self._samples / 50 / SPEED
        while True:
            row = self._row(query, *arguments)
            if row and met(row):
                return row
            if (fallen := self._platform.children.fallen()) is not None:
                raise CommandError(f"{fallen.name} stopped; its last words:\n{fallen.last_words()}")
            if time.monotonic() > deadline:
                raise CommandError(f"Waited in vain for {what}; the last state was {row}.")
            time.sleep(0.1)


@contextmanager
def _remote(mqtt_url: str, gateway: UUID) -> Iterator[Remote]:
    remote = Remote(mqtt_url, gateway)
    try:
        yield remote
    finally:
        remote.close()


def _worklist(
    port: int, clinic: clinics.DemoClinic, stories: tuple[PatientStory, ...], stages: Stages
) -> None:
    """Sign in as the therapist would and look for the patients on the first page."""
    site = f"http://127.0.0.1:{port}"
    opener = build_opener(HTTPCookieProcessor(CookieJar()))
    who = clinic.sign_ins[0]
    form = urlencode({"email": who.login, "password": who.password, "next": "/"}).encode()
    headers = {"Origin": site, "Content-Type": "application/x-www-form-urlencoded"}
    with opener.open(Request(f"{site}/sign-in", form, headers), timeout=30) as answer:  # noqa: S310 - our own
        page = answer.read().decode()
    listed = [story for story in stories if story.family in page]
    stages.say(
        "worklist", f"{len(listed)} of {len(stories)} patients listed", good=len(listed) == len(stories)
    )


def _ledger(platform: Standing, clinic: clinics.DemoClinic, number: int, stages: Stages) -> None:
    """What the evidence of this month supports so far."""
    with platform.store.tenant_tx(clinic.tenant) as tx:
        today = ledger.today(tx, clinic.tenant, datetime.now(UTC))
        # A ledger as of a date ignores what is dated on it: tomorrow's shows what today has brought.
        tomorrow = today + timedelta(days=1)
        result = ledger.month(tx, clinic.tenant, clinic.homes[number].episode, today, tomorrow)
    lines = [f"{line['code']} {line['decision']}" for line in result["lines"]]
    waiting = [
        f"{'/'.join(item['codes'])} {_figure(item['have'])} of {_figure(item['need'])} {item['unit']}, "
        f"{item['days_left']} days left"
        for item in result["open"]
    ]
    stages.say("ledger", "; ".join(lines + waiting) or "nothing", good=bool(lines or waiting))


def _figure(value: object) -> str:
    return f"{value:.0f}" if isinstance(value, float) else str(value)


def _verify(platform: Standing, stages: Stages) -> None:
    result, faults = verify.check(platform.store, platform.settings.data_dir)
    chunks = result["chunks"]
    text = (
        f"{chunks['acknowledged']} chunks acknowledged, {chunks['missing']} missing, "
        f"{chunks['duplicated']} twice, {chunks['altered']} altered"
    )
    stages.say("verify", text if result["ok"] else f"{text}: {faults[0]}", good=result["ok"])
