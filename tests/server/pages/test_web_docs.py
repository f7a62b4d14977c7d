"""What the pages' documentation says is so."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from rtm_server.settings import Settings
from rtm_server.store import Store
from rtm_server.testing import make_clinic
from rtm_server.web.billing.csv_file import COLUMNS
from rtm_server.web.patient.repository import _rom_name
from rtm_server.web.settings import WebSettings
from rtm_server.web.wording import CODE_WORDS, ago, as_of

DOCS = Path(__file__).parents[3] / "docs"
WEB = Path(__file__).parents[3] / "server" / "rtm_server" / "web"


def test_every_setting_of_the_pages_is_documented() -> None:
    text = (DOCS / "reference" / "pages.md").read_text()
    missing = [name for name in WebSettings.model_fields if name not in Settings.model_fields]
    assert missing
    assert [name for name in missing if f"`RTM_{name.upper()}`" not in text] == []


def test_every_address_is_documented(app: FastAPI) -> None:
    text = (DOCS / "reference" / "pages.md").read_text()
    waiting, paths = list(app.routes), set()
    while waiting:
        route = waiting.pop()
        if isinstance(route, APIRoute) and "GET" in (route.methods or ()):
            paths.add(route.path)
        waiting += getattr(route, "routes", None) or getattr(
            getattr(route, "original_router", None), "routes", []
        )
    hidden = {"/static/{digest}/{name}", "/favicon.ico", "/billing", "/today/set/{recording}/events"}
    said = text.replace("{YYYY-MM}", "{month}")
    assert len(paths) > 12
    assert [path for path in sorted(paths - hidden) if f"`{path}`" not in said] == []


def test_the_csv_columns_are_documented() -> None:
    text = (DOCS / "reference" / "pages.md").read_text().replace("\n", " ")
    assert ", ".join(COLUMNS) in text


def test_the_tutorials_patient_stands_on_the_worklist(pages_store: Store, client_now: httpx.Client) -> None:
    (code,) = re.findall(
        r"```python\n(.*?)```", (DOCS / "tutorial" / "first-patient.md").read_text(), re.DOTALL
    )
    scope: dict[str, object] = {}
    exec(compile(code, "first-patient.md", "exec"), scope)  # noqa: S102 - our own documentation
    clinic = make_clinic(pages_store)
    login = f"ada.{uuid4()}@example.org"
    made = scope["first_patient"]
    assert callable(made)
    patient = made(pages_store, clinic.tenant, clinic.therapist, login, "a long enough one")
    assert (
        client_now.post("/sign-in", data={"email": login, "password": "a long enough one"}).status_code == 303
    )
    day = client_now.get("/today").text
    assert "Ada" in day
    assert "Shoulder abduction" in day
    assert str(patient) not in day


@pytest.mark.parametrize("path", sorted(WEB.rglob("*.html")), ids=lambda path: path.name)
def test_templates_hold_no_style_no_handler_and_trust_nothing(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"\|\s*safe\b|autoescape", text)
    assert not re.search(r"\sstyle\s*=|<style|javascript:", text)
    assert not re.search(r"\son\w+\s*=\s*[\"']", text)
    assert not re.search(r"<script(?![^>]*src=)", text)
    assert not re.search(r"(?:src|href)=[\"']https?:", text)


def test_words() -> None:
    assert CODE_WORDS["98977"].startswith("Device supply")
    from datetime import UTC, date, datetime  # noqa: PLC0415 - here only

    assert ago(date(2026, 11, 23), date(2026, 11, 23)) == "today"
    assert ago(date(2026, 11, 20), date(2026, 11, 23)) == "3 days ago"
    assert as_of(datetime(2026, 11, 23, 21, 14, tzinfo=UTC), "America/New_York") == (
        "Mon 23 Nov 2026, 4:14 PM EST"
    )
    assert as_of(datetime(2026, 7, 1, 4, 5, tzinfo=UTC), "America/New_York").endswith("12:05 AM EDT")


@pytest.mark.parametrize(
    ("angle", "exercise", "said"),
    [
        ("inclination", "shoulder_abduction", "Range of inclination during shoulder abduction"),
        ("joint", "heel_slide", "Range of joint motion during heel slide"),
        ("shoulder_abduction", "shoulder_abduction", "Range of shoulder abduction"),
    ],
)
def test_the_name_says_what_was_measured(angle: str, exercise: str, said: str) -> None:
    assert _rom_name(angle, exercise) == said
