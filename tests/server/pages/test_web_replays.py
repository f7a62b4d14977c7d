"""Samples sent again, through the real ingest and the real analysis: said to the therapist and held for the clerk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx

from rtm_server import analyses, enrol
from rtm_server.store import Store
from rtm_server.testing import make_clinic, send_recording, squat_like

RATE = 50.0
LONG = squat_like(int(106 * RATE), RATE)
PASSWORD = "a long enough one"


def test_a_session_says_what_of_it_was_received_before(pages_store: Store, client_now: httpx.Client) -> None:
    clinic = make_clinic(pages_store)
    logins = {role: f"{role}.{uuid4()}@example.org" for role in ("therapist", "billing")}
    with pages_store.tenant_tx(clinic.tenant) as tx:
        for role in ("therapist", "billing"):
            enrol.create_user(
                pages_store, tx, clinic.tenant, role, login=logins[role], password=PASSWORD, name="Nora"
            )  # fmt: skip
    now = datetime.now(UTC)
    recordings = [
        send_recording(clinic, values, opened=now - timedelta(days=days), boot=days)
        for values, days in ((LONG, 4), (LONG[500:4500], 2))
    ]
    for recording in recordings:
        assert analyses.analyse(pages_store, clinic.tenant, recording)
    client_now.post("/sign-in", data={"email": logins["therapist"], "password": PASSWORD})
    original, copy = (client_now.get(f"/p/{clinic.patient}/s/{each}").text for each in recordings)
    assert "No data day by itself" not in original
    assert "No data day by itself: at least 1 minute of it" in copy
    assert "are the same samples as those of" in copy

    client_now.post("/sign-in", data={"email": logins["billing"], "password": PASSWORD})
    with pages_store.tenant_tx(clinic.tenant) as tx:
        row = tx.execute("SELECT local_day FROM analysis_current WHERE kind IS NULL").fetchone()
    assert row is not None
    page = client_now.get(f"/billing/{row['local_day']:%Y-%m}").text
    assert "1 day in doubt" in page
    assert "not counted without a person&#39;s decision: at least 1 minute of it" in page
