"""A patient's browser without a screen: signs in, starts a set, follows the live count and angle, stops.

For the live test and `benchmarks/live_latency.py`; over real HTTP, as the page's own script would.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookiejar import CookieJar
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener
from uuid import UUID

from homestretch.command import CommandError
from homestretch.demo.clinic import SignIn

_SET = re.compile(r"/today/set/([0-9a-f-]{36})$")
_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class PageEvent:
    """One server-sent event: its name, its data, and when it was read (monotonic seconds)."""

    name: str
    data: dict[str, object]
    at: float


class PatientPage:
    """One signed-in patient on `http://127.0.0.1:port`."""

    def __init__(self, port: int, who: SignIn) -> None:
        self._site = f"http://127.0.0.1:{port}"
        self._opener = build_opener(HTTPCookieProcessor(CookieJar()))
        self._post("/sign-in", email=who.login, password=who.password, next=who.first_page)

    def start(self, exercise: str) -> UUID:
        """Press Start; the recording's id."""
        found = _SET.search(self._post("/today/start", exercise=exercise))
        if found is None:
            raise CommandError("The patient's page did not begin a set.")
        return UUID(found[1])

    def stop(self, recording: UUID) -> None:
        """Press Stop."""
        self._post(f"/today/set/{recording}/stop")

    def follow(self, recording: UUID, seconds: float) -> Iterator[PageEvent]:
        """The set's events as they come, for so long or until the stream ends."""
        end = time.monotonic() + seconds
        with self._opener.open(f"{self._site}/today/set/{recording}/events", timeout=_TIMEOUT_S) as stream:
            name = ""
            for raw in stream:
                line = raw.decode().rstrip("\n")
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    yield PageEvent(name, json.loads(line.removeprefix("data: ")), time.monotonic())
                if time.monotonic() > end:
                    return

    def _post(self, path: str, **form: str) -> str:
        """Where the answer leads."""
        headers = {"Origin": self._site, "Content-Type": "application/x-www-form-urlencoded"}
        request = Request(f"{self._site}{path}", urlencode(form).encode(), headers)  # noqa: S310 - our own
        with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
            return str(answer.geturl())
