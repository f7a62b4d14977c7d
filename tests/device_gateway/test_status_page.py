"""The status page over real HTTP: nothing without the code, plain words with it, nothing from elsewhere."""

from __future__ import annotations

import asyncio
import http.client
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from rtm_gateway.outbox import OutboxStatus
from rtm_gateway.pairing import COOKIE_S, FREE_ATTEMPTS, WAIT_S, Pairing, PairingError
from rtm_gateway.status_page import StatusPage
from rtm_gateway.status_words import Line, lines

CODE = "12345678"
SAID = [Line("The sensor on your <thigh> is connected.", good=True), Line("Battery low", good=False)]


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def pairing(clock: Clock) -> Pairing:
    return Pairing(CODE, b"s" * 32, clock=clock, wall=clock)


class Browser:
    """Plain HTTP to the page's port."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(
                method, path, body.encode(), {k.replace("_", "-"): v for k, v in headers.items()}
            )
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode()
        finally:
            connection.close()

    def pair(self, code: str) -> tuple[int, dict[str, str], str]:
        return self.ask("POST", "/pair", urlencode({"code": code}))


def visit(story: Callable[[Browser], None], clock: Clock | None = None) -> None:
    """Open the page and play the story in a thread."""

    async def play() -> None:
        page = StatusPage("127.0.0.1", 0, pairing(clock or Clock()), lambda: SAID)
        await page.open()
        try:
            await asyncio.to_thread(story, Browser(page.port))
        finally:
            page.close()

    asyncio.run(play())


def test_the_code_opens_the_page_and_nothing_else_does() -> None:
    def story(browser: Browser) -> None:
        status, headers, page = browser.ask("GET", "/")
        assert status == 200
        assert "Pairing code" in page
        assert "sensor" not in page.lower(), "nothing is told before the code"
        assert "set-cookie" not in headers
        assert browser.pair("00000000")[0] == 403
        status, headers, _ = browser.pair("1234 5678")
        assert (status, headers["location"]) == (303, "/")
        cookie = headers["set-cookie"]
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
        value = cookie.partition(";")[0]
        status, _, page = browser.ask("GET", "/", Cookie=value)
        assert status == 200
        assert "on your &lt;thigh&gt; is connected" in page, "words are escaped"
        assert 'class="look"' in page
        for wrong in (
            value[:-1] + ("0" if value[-1] != "0" else "1"),
            "rtm_status=",
            "rtm_status=9.x",
            "a;;=b",
        ):
            assert "Pairing code" in browser.ask("GET", "/", Cookie=wrong)[2]

    visit(story)


def test_headers_forbid_everything_from_elsewhere() -> None:
    def story(browser: Browser) -> None:
        for path, status in (("/", 200), ("/style.css", 200), ("/nowhere", 404)):
            found, headers, body = browser.ask("GET", path)
            assert found == status
            policy = headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; style-src 'self'")
            assert "unsafe" not in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-store"
            assert not re.search(r"https?://|<script|style=| on\w+=", body)

    visit(story)


def test_attempts_are_few() -> None:
    clock = Clock()

    def story(browser: Browser) -> None:
        assert [browser.pair("1")[0] for _ in range(FREE_ATTEMPTS + 2)] == [403] * FREE_ATTEMPTS + [429] * 2
        assert browser.pair(CODE)[0] == 429, "the right code waits too"
        clock.now += WAIT_S + 1
        assert browser.pair("1")[0] == 403
        assert browser.pair("1")[0] == 429
        clock.now += WAIT_S + 1
        assert browser.pair(CODE)[0] == 303

    visit(story, clock)


def test_foreign_names_and_foreign_pages_are_refused() -> None:
    def story(browser: Browser) -> None:
        assert browser.ask("GET", "/", Host="evil.example")[0] == 400, "DNS rebinding"
        assert browser.ask("GET", "/", Host=f"localhost:{browser.port}")[0] == 200
        form = urlencode({"code": CODE})
        assert browser.ask("POST", "/pair", form, Origin="http://evil.example")[0] == 400
        assert browser.ask("POST", "/pair", form, Origin=f"http://127.0.0.1:{browser.port}")[0] == 303
        assert browser.ask("DELETE", "/")[0] == 405

    visit(story)


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /\r\n\r\n",
        b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
        b"POST /pair HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999\r\n\r\n",
        b"POST /pair HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: \xb2\r\n\r\n",
        b"POST /pair HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /pair HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n\r\n\xff\xff\xff",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
def test_odd_requests_get_one_answer(raw: bytes) -> None:
    async def play() -> bytes:
        page = StatusPage("127.0.0.1", 0, pairing(Clock()), lambda: SAID)
        await page.open()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", page.port)
            writer.write(raw)
            answer = await reader.read()
            writer.close()
            return answer
        finally:
            page.close()

    assert asyncio.run(play()).startswith(b"HTTP/1.1 400 ")


def test_the_code_is_kept_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "status_page.json"
    first = Pairing.kept(path)
    assert re.fullmatch(r"\d{8}", first.code)
    assert path.stat().st_mode & 0o777 == 0o600
    again = Pairing.kept(path)
    assert again.code == first.code
    assert again.knows(first.cookie()), "a restart asks nobody for the code again"
    path.write_text("{}")
    with pytest.raises(PairingError, match=r"status_page\.json"):
        Pairing.kept(path)


def test_a_cookie_runs_out_and_belongs_to_one_box() -> None:
    clock = Clock()
    box = pairing(clock)
    cookie = box.cookie()
    assert box.knows(cookie)
    assert not Pairing(CODE, b"t" * 32, clock=clock, wall=clock).knows(cookie)
    clock.now += COOKIE_S + 1
    assert not box.knows(cookie)


def outbox(items: int = 0, lag_s: float = 0.0, refused: int = 0, size: int = 0) -> OutboxStatus:
    return OutboxStatus(items, size, 1000, 0, refused, 0, 0, lag_s)


def sensor(*, connected: bool = True, battery: float | None = 0.9) -> dict[str, Any]:
    return {"sensor": "id", "placement": "left_upper_arm", "connected": connected, "battery": battery}


CASES: list[tuple[dict[str, Any], OutboxStatus, bool, list[tuple[str, bool]]]] = [
    (
        sensor(),
        outbox(),
        True,
        [
            ("The sensor on your left upper arm is connected. Battery good.", True),
            ("Everything has reached the clinic.", True),
        ],
    ),
    (
        sensor(connected=False, battery=0.1),
        outbox(items=3, lag_s=185.0),
        True,
        [
            (
                "The sensor on your left upper arm is not connected. Bring it near and wake it."
                " Battery low: please charge it.",
                False,
            ),
            ("Waiting to send: 3 minutes of data. Nothing is lost.", True),
        ],
    ),
    (
        sensor(battery=None),
        outbox(items=3, lag_s=90000.0, refused=1, size=900),
        False,
        [
            ("The sensor on your left upper arm is connected.", True),
            ("Waiting to send: 1 day of data. Nothing is lost.", False),
            ("The clinic cannot be reached just now. It is tried again by itself.", False),
            ("The clinic did not take some of the data. Please call the clinic.", False),
            ("The storage of this box is nearly full. Please check the internet connection.", False),
        ],
    ),
]


@pytest.mark.parametrize(("worn", "box", "online", "expected"), CASES, ids=["all well", "waiting", "cut off"])
def test_the_words(
    worn: dict[str, Any], box: OutboxStatus, online: bool, expected: list[tuple[str, bool]]
) -> None:
    said = lines({"sensors": [worn], "warnings": []}, box, online=online)
    assert [(line.text, line.good) for line in said] == expected


def test_warnings_stand_on_the_page_once() -> None:
    warnings: list[dict[str, Any]] = [
        {"sensor": "id", "kind": "battery", "what": "The battery of the sensor on your wrist is low."},
        {
            "sensor": None,
            "kind": "worn",
            "what": "The sensors on your thigh and your shank seem to be swapped.",
        },
    ]
    said = lines({"sensors": [sensor(battery=0.1)], "warnings": warnings}, outbox(), online=True)
    assert sum("attery" in line.text for line in said) == 1
    assert Line(warnings[1]["what"], good=False) in said
