"""A recording through the real ingest and the real analysis, on the pages."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest

from rtm_server import analyses, enrol
from rtm_server.store import Store
from rtm_server.testing import make_clinic, send_recording, squat_like

RATE = 50.0
VALUES = squat_like(int(46 * RATE), RATE)  # ten movements of four seconds
LOGIN, PASSWORD = f"nora.{uuid4()}@example.org", "a long enough one"


@pytest.mark.parametrize("counts", [True, False], ids=["demo's clinic", "any other clinic"])
def test_from_chunks_to_the_page(pages_store: Store, client_now: httpx.Client, counts: bool) -> None:
    clinic = make_clinic(pages_store, simulated=True, simulated_counts=counts)
    login = f"{counts}.{LOGIN}"
    with pages_store.tenant_tx(clinic.tenant) as tx:
        enrol.create_user(
            pages_store, tx, clinic.tenant, "therapist", login=login, password=PASSWORD, name="Nora"
        )
        enrol.prescribe(
            tx, clinic.tenant, clinic.episode, "generic", valid_from=clinic.since.date(), repetitions=20
        )
    opened = datetime.now(UTC) - timedelta(days=1)
    recording = send_recording(clinic, VALUES, opened=opened, boot=1, exercise=None)
    assert analyses.analyse(pages_store, clinic.tenant, recording)
    assert client_now.post("/sign-in", data={"email": login, "password": PASSWORD}).status_code == 303
    worklist = client_now.get("/").text
    assert "Pat Example" in worklist
    days = re.search(r'data-label="Data days"><span class="figure">(\d+)<', worklist)
    assert days is not None
    assert days[1] == ("1" if counts else "0"), "days of simulated sensors count in the demo's clinic alone"
    session = f"/p/{clinic.patient}/s/{recording}"
    assert session in client_now.get(f"/p/{clinic.patient}").text
    page = client_now.get(session)
    assert page.status_code == 200
    assert "(simulated)" in page.text
    assert "Draw the angle from the samples" in page.text
    drawn = client_now.get(f"{session}?angle=draw").text
    lines = re.findall(r'<path d="(M[^"]+)" class="line"', drawn)
    assert lines
    assert all(len(re.findall("[ML]", line)) <= 2 * 720 + 2 for line in lines), "no more points than pixels"
