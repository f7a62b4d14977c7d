"""A patient measures a movement and a therapist moves a sensor, in Chromium; wearables, radio, gateway, broker, ingest,
database, analysis and pages are real. The body keeps still and moves when the page says so, as a person would.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from homestretch.demo import clinic as clinics
from homestretch.demo.clinic import SignIn
from homestretch.demo.cohort import Dose, PatientStory
from homestretch.demo.home import NAME, LiveHome, Remote, Wearing
from homestretch.demo.run import wait_for_pages
from homestretch.demo.standing import standing
from rtm_firmware_sim import body
from rtm_firmware_sim.air import Air
from rtm_firmware_sim.playback import Playback
from rtm_firmware_sim.simulate import make_sensors
from rtm_server.embedded_broker import free_port
from rtm_signal.recording import Recording, SensorRecording

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect

CHROMIUM = Path("/usr/bin/chromium")
EXERCISE, PLACEMENTS = "heel_slide", ("thigh", "shank")
RATE_HZ, SPEED, REPETITIONS = 50.0, 3.0, 5
LOOP_S = 300.0
SOON_S = 3.0  # of the body's time, so that no sample is changed that is being taken
PATIENCE_MS = 90_000


class Body:
    """Rests for ever, and does the exercise when told: its sensors loop over samples that are written ahead of them."""

    def __init__(self) -> None:
        motion = body.exercise(
            EXERCISE, repetitions=REPETITIONS, rate_hz=RATE_HZ, seed=3, placements=PLACEMENTS, context=False
        )
        rng = np.random.default_rng(5)
        n = round(LOOP_S * RATE_HZ)
        t = np.arange(n) / RATE_HZ
        self._moves = motion.recording.sensors
        resting = {}
        for place, felt in self._moves.items():
            noise = rng.normal(0.0, 0.01, (n, 3)), rng.normal(0.0, 0.002, (n, 3))
            resting[place] = SensorRecording(t, felt.acc[0] + noise[0], noise[1])
        self._recording = Recording(resting)
        self._playback: Playback | None = None
        self._sensors: list[Any] = []
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._off = asyncio.Event()

    @contextmanager
    def on_the_air(self, port: int) -> Iterator[None]:
        """The sensors advertise on a radio of their own."""
        thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._run(port)))
        thread.start()
        assert self._ready.wait(60)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._off.set)
            thread.join(30)
            self._loop.close()

    async def _run(self, port: int) -> None:
        self._playback = Playback(speed=SPEED, loop=True)
        async with Air(seed=1) as air:
            self._sensors = make_sensors("homestretch", self._recording, self._playback, seed=1, name=NAME)
            for sensor in self._sensors:
                await air.add(sensor)
            await air.serve(f"tcp-server:127.0.0.1:{port}")
            self._ready.set()
            await self._off.wait()

    def move(self) -> None:
        """Do the exercise once, from the next seconds on."""
        done = threading.Event()
        self._loop.call_soon_threadsafe(self._write, done)
        assert done.wait(30)

    def _write(self, done: threading.Event) -> None:
        for sensor in self._sensors:
            sampler = sensor.firmware._sampler
            track = sampler.track
            felt = self._moves[sensor.placement]
            begins = sampler.due() + round(SOON_S * RATE_HZ)
            at = (begins + np.arange(len(felt.t))) % track.t.size
            assert felt.gyr is not None
            track.acc[at], track.gyr[at] = felt.acc, felt.gyr
        done.set()


def _story() -> PatientStory:
    started = datetime.now(UTC).date() - timedelta(days=2)
    return PatientStory(
        0, "Cal", "Ibrate", date(1950, 1, 1), "America/New_York", "home", started, PLACEMENTS,
        (Dose(EXERCISE, 1, 10),), (), (), (),
    )  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip("Chromium is not installed at /usr/bin/chromium: page tests in a browser are left out")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where a browser is

    with sync_playwright() as playwright:
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        yield chromium
        chromium.close()


def _signed_in(browser: Browser, port: int, who: SignIn, width: int, said: list[str]) -> Page:
    context = browser.new_context(
        base_url=f"http://127.0.0.1:{port}", viewport={"width": width, "height": 900}, locale="en-US"
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.on("console", lambda m: said.append(m.text) if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"/sign-in?next={who.first_page}")
    page.fill("#email", who.login)
    page.fill("#password", who.password)
    page.press("#password", "Enter")
    page.wait_for_url(lambda url: "/sign-in" not in url)
    return page


def _until(page: Page, text: str) -> None:
    """Load the page anew until it says so, as somebody would who waits for it."""
    for _ in range(PATIENCE_MS // 500):
        if page.locator(f"text={text}").count():
            return
        page.wait_for_timeout(500)
        page.reload()
    raise AssertionError(page.inner_text("main"))


@pytest.mark.timeout(400)
def test_measuring_a_movement_and_moving_a_sensor(browser: Browser, tmp_path: Path) -> None:
    said: list[str] = []
    port = free_port()
    person = Body()
    with standing(http_port=port) as platform:
        clinic = clinics.create(platform.store, (_story(),), datetime.now(UTC))
        platform.start("ingest", "worker", "serve")
        platform.wait_for_ingest()
        wait_for_pages(port)
        home = LiveHome(
            platform, "home", Wearing(clinic.tenant, clinic.gateway, clinic.homes[0].sensors, tmp_path)
        )
        therapist_in, patient_in, _ = clinic.sign_ins
        with person.on_the_air(home.port):
            home.start_gateway()
            remote = Remote(platform.mqtt_url, clinic.gateway)
            try:
                assert remote.wait_online(60)
            finally:
                remote.close()

            page = _signed_in(browser, port, patient_in, 390, said)
            _until(page, "All are in touch.")
            page.click("text=Measure your movement")
            page.click("button:has-text('Begin')")
            page.wait_for_selector("text=1 of 2: keep still")
            page.wait_for_selector("text=2 of 2: move slowly")
            person.move()
            enough = re.compile(rf"^[{REPETITIONS - 2}-9]$")
            expect(page.locator("[data-count]")).to_have_text(enough, timeout=PATIENCE_MS)
            page.wait_for_timeout(1000 * 10 / SPEED)  # the last repetitions, and a rest
            page.click("button:has-text('Finished')")
            expect(page.locator("[data-outcome]")).to_have_attribute(
                "data-outcome", "good", timeout=PATIENCE_MS
            )
            outcome = page.inner_text("[role=status]")
            found = re.search(r"(\d) repetitions, knee angle (\d+)°", outcome)
            assert found is not None, outcome
            assert abs(int(found[1]) - REPETITIONS) <= 1
            assert int(found[2]) > 40
            page.click("text=Undo: do not use it")
            expect(page.locator("[data-outcome]")).to_have_attribute("data-outcome", "taken_back")
            page.click("text=Use it after all")
            expect(page.locator("[data-outcome]")).to_have_attribute("data-outcome", "good")

            patient = clinic.homes[0].patient
            page = _signed_in(browser, port, therapist_in, 1280, said)
            page.goto(f"/p/{patient}/devices")
            assert page.locator("text=Connected").count() == 2
            page.click("summary:has-text('Change the sensor of the shank')")
            page.select_option("#place-1", "left_shank")
            page.select_option("#for-1", EXERCISE)
            page.click("button:has-text('Change from now on') >> nth=0")
            page.wait_for_selector("text=Changed from now on.")
            _until(page, "Left shank")
            for _ in range(PATIENCE_MS // 500):
                if page.locator("td:has-text('Connected')").count() == 2:
                    break
                page.wait_for_timeout(500)
                page.reload()
            assert page.locator("td:has-text('Connected')").count() == 2, page.inner_text("main")
            platform.children.stop(home.gateway_process)  # before the radio goes, so that it closes its end
    assert said == []
