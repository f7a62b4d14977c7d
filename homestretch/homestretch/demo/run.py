"""`rtm demo`: bring everything up, fill in the history, print where to look, and stay until stopped."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from urllib.request import urlopen
from zoneinfo import ZoneInfo

from homestretch.command import CommandError, say
from homestretch.demo import clinic as clinics
from homestretch.demo import history
from homestretch.demo.cohort import CLINIC_ZONE, cohort
from homestretch.demo.feed import HistoryFeed
from homestretch.demo.home import LiveHome, Wearing
from homestretch.demo.standing import Standing, standing
from homestretch.progress import progress_to_stderr
from rtm_firmware_sim import body
from rtm_signal.recording_file import write_recording

FIRST_PORT = 8080
PORTS_TRIED = 50
FIRST_DAYS = 7
READY_S = 60.0


def run(*, patients: int, days: int, port: int | None, seed: int) -> None:
    """Run until Ctrl-C or SIGTERM; everything is deleted at the end."""
    began = time.monotonic()
    chosen = free_http_port(port)
    now = datetime.now(UTC)
    today = now.astimezone(ZoneInfo(CLINIC_ZONE)).date()
    stories = cohort(today, patients=patients, days=days, seed=seed, now=now)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _stop(stopped))
    say("Starting the database, the broker and the server ...")
    try:
        with standing(http_port=chosen) as platform:
            clinic = clinics.create(platform.store, stories, now)
            clinics.record_reports(platform.store, clinic, stories)
            platform.start("ingest", "worker", "worker-2", "serve")
            sessions = history.newest_first(stories)
            recent = [item for item in sessions if item[2].starts_at > now - timedelta(days=FIRST_DAYS)]
            rest = sessions[len(recent) :]
            platform.wait_for_ingest()
            with HistoryFeed(platform, clinic, stories, seed) as feed:
                with progress_to_stderr("last seven days") as report:
                    feed.send(recent, report)
                _live_home(platform, clinic, stories[0].plan[0].exercise, seed)
                wait_for_pages(chosen)
                _print_doors(chosen, clinic, platform, time.monotonic() - began)
                with progress_to_stderr("earlier days") as report:
                    feed.send(rest, report)
            say(f"The whole history is in: {len(sessions)} sessions of {patients} patients.")
            while not stopped.wait(1.0):
                if (fallen := platform.children.fallen()) is not None:
                    raise CommandError(f"{fallen.name} stopped; its last words:\n{fallen.last_words()}")
    except _Stopped:
        say("Stopping; the demo's data are deleted.")


class _Stopped(BaseException):
    """Ctrl-C or SIGTERM: unwinds whatever is under way."""


def _stop(stopped: threading.Event) -> None:
    if not stopped.is_set():
        stopped.set()
        raise _Stopped


def free_http_port(asked: int | None) -> int:
    """The asked port, which must be free, or the first free one from 8080."""
    for port in (asked,) if asked is not None else range(FIRST_PORT, FIRST_PORT + PORTS_TRIED):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    if asked is not None:
        raise CommandError(f"Port {asked} is taken; give another with --port, or none to have one chosen.")
    raise CommandError(f"No port from {FIRST_PORT} to {FIRST_PORT + PORTS_TRIED - 1} is free.")


def wait_for_pages(port: int) -> None:
    """Wait until the pages answer."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urlopen(f"http://127.0.0.1:{port}/livez", timeout=2):
            return
        time.sleep(0.1)
    raise CommandError("The pages did not come up within a minute.")


def _live_home(platform: Standing, clinic: clinics.DemoClinic, exercise: str, seed: int) -> None:
    """The first patient's sensors, worn and moving as long as the demo runs."""
    first = clinic.homes[0]
    path = platform.folder / "worn.csv"
    motion = body.exercise(exercise, repetitions=12, rate_hz=50.0, seed=seed, placements=tuple(first.sensors))
    write_recording(path, motion.recording)
    home = LiveHome(platform, "home", Wearing(clinic.tenant, clinic.gateway, first.sensors, path))
    home.start_wearable(loop=True, seed=seed)
    home.start_gateway()


def _print_doors(port: int, clinic: clinics.DemoClinic, platform: Standing, seconds: float) -> None:
    print(f"\nHomestretch runs on {platform.postgres}; the pages opened after {seconds:.0f} s.\n")
    for who in clinic.sign_ins:
        print(f"  {who.role:<14} http://127.0.0.1:{port}{who.first_page}")
        print(f"  {'':<14} sign in as {who.login} with {who.password}\n")
    print("Everything here is invented, and deleted when you press Ctrl-C.\n", flush=True)
