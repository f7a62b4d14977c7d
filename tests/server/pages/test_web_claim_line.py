"""A claim line's own page: its steps by hand, its history, and its days down to the recordings."""

from __future__ import annotations

import re

import httpx
import pytest

from rtm_gateway.drivers import DRIVERS
from rtm_server.claims import lifecycle
from rtm_server.wearables import OPEN_LINK, WEARABLES, link_note
from rtm_server.web.billing.line_history import BY_HAND, STATE_WORDS
from rtm_server.web.testing import PASSWORD, PROFILES, House, furnish

MONTH = "/billing/2026-11"
ONE = tuple(profile for profile in PROFILES if profile.name == "Samuel Ito")


@pytest.fixture
def month(house: House) -> House:
    """A clinic of its own with one patient."""
    return furnish(house.store, ONE)


@pytest.fixture
def clerk(client: httpx.Client, month: House) -> httpx.Client:
    client.post("/sign-in", data={"email": month.billing, "password": PASSWORD})
    return client


@pytest.fixture
def line(clerk: httpx.Client) -> str:
    """The address of a released line."""
    ready = re.findall(r'name="line" value="([^"]+)"', clerk.get(MONTH).text.partition("/release")[2])
    (key,) = (each for each in ready if ".98977." in each)
    assert clerk.post(f"{MONTH}/release", data={"line": key}).status_code == 303
    return f"{MONTH}/lines/{key}"


def offered(page: str) -> set[str]:
    return set(re.findall(r'name="to" value="(\w+)"', page))


def state(house: House) -> str:
    with house.store.tenant_tx(house.tenant) as tx:
        row = tx.execute("SELECT state FROM claim_line ORDER BY created_at DESC LIMIT 1").fetchone()
    assert row is not None
    return str(row["state"])


def test_a_release_is_taken_back_and_made_again(clerk: httpx.Client, line: str, month: House) -> None:
    page = clerk.get(line).text
    assert "Released, ready to go" in page
    assert offered(page) == {"withdrawn"}
    bare = clerk.post(f"{line}/step", data={"to": "withdrawn", "reason": " oh "})
    assert bare.status_code == 422
    assert "Say in a few words" in bare.text
    done = clerk.post(f"{line}/step", data={"to": "withdrawn", "reason": "the wrong patient was ticked"})
    assert done.headers["location"] == f"{MONTH}?note=withdrawn"
    assert "Taken back." in clerk.get(f"{MONTH}?note=withdrawn").text
    assert state(month) == "withdrawn"
    again = clerk.post(f"{line}/step", data={"to": "withdrawn", "reason": "once more, to be sure"})
    assert again.status_code == 409
    key = line.rpartition("/")[2]
    assert clerk.post(f"{MONTH}/release", data={"line": key}).status_code == 303
    history = clerk.get(line).text.partition('id="history"')[2]
    said = re.findall(r"<strong>([^<]+)</strong>(?:: ([^<]+))?", history)
    assert said == [
        ("Released, ready to go", ""),
        ("Taken back", "the wrong patient was ticked"),
        ("Released, ready to go", ""),
    ]
    assert history.count("Omar Reyes") == 3


def test_a_clerk_writes_down_what_the_payer_said(clerk: httpx.Client, line: str, month: House) -> None:
    early = clerk.post(f"{line}/step", data={"to": "paid", "reason": "check 1187 of the payer"})
    assert early.status_code == 409
    assert "A line that is approved cannot become paid" in early.text
    with month.store.tenant_tx(month.tenant) as tx:  # as an export does
        tx.execute("UPDATE claim_line SET state = 'exported', control = 'L000000001'")
    page = clerk.get(line).text
    assert offered(page) == {"accepted", "paid", "denied", "rejected"}
    for to, reason in (("accepted", "seen on their portal"), ("denied", "letter of 20 November")):
        made = clerk.post(f"{line}/step", data={"to": to, "reason": reason})
        assert made.headers["location"] == f"{line}?note=noted"
        assert reason in clerk.get(f"{line}?note=noted").text
        assert state(month) == to
    page = clerk.get(line).text
    assert offered(page) == {"paid", "rejected"}, "may still be paid, or be wanted anew, and nothing else"
    assert "MA130" in page
    assert (
        clerk.post(f"{line}/step", data={"to": "accepted", "reason": "too late for this"}).status_code == 409
    )
    assert "Letter of 20 November" in clerk.get(MONTH).text, "why stands beside it on the month"
    ended = clerk.post(f"{line}/step", data={"to": "rejected", "reason": "they want a new claim, MA130"})
    assert ended.status_code == 303
    assert state(month) == "rejected"


def test_a_rejected_line_may_go_out_again(clerk: httpx.Client, line: str, month: House) -> None:
    with month.store.tenant_tx(month.tenant) as tx:
        tx.execute("UPDATE claim_line SET state = 'exported'")
    done = clerk.post(f"{line}/step", data={"to": "rejected", "reason": "wrong member id, by telephone"})
    assert done.headers["location"] == f"{MONTH}?note=rejected"
    page = clerk.get(line).text
    assert "ent before and rejected: wrong member id, by telephone" in page
    assert "Not released" in page


@pytest.mark.parametrize("to", ["approved", "exported", "replaced", "gone", ""])
def test_steps_that_are_not_made_by_hand(clerk: httpx.Client, line: str, to: str) -> None:
    assert clerk.post(f"{line}/step", data={"to": to, "reason": "because I say so"}).status_code == 422


def test_other_roles_take_no_step(client_now: httpx.Client, line: str, month: House) -> None:
    for login in (month.therapist, month.patient_login):
        client_now.post("/sign-in", data={"email": login, "password": PASSWORD})
        form = {"to": "withdrawn", "reason": "because I can do it"}
        assert client_now.post(f"{line}/step", data=form).status_code == 403
        assert client_now.get(f"{line}/days/2026-11-09").status_code == 403


def test_a_day_opens_its_recordings(clerk: httpx.Client, line: str, month: House) -> None:
    days = re.findall(rf'href="({re.escape(line)}/days/[0-9-]+)"', clerk.get(line).text)
    assert len(days) >= 16
    page = clerk.get(days[0])
    assert page.status_code == 200
    for words in ("First reading", "Upper arm, homestretch, HS0000", "Counts", "No angle can be drawn"):
        assert words in page.text
    assert OPEN_LINK not in page.text, "this wearable's link is encrypted"
    with month.store.tenant_tx(month.tenant) as tx:
        tx.execute("UPDATE sensor SET profile = 'witmotion'")
        tx.execute("UPDATE recording SET artefact_reason = 'the dog wore it'")
    page = clerk.get(days[0])
    assert OPEN_LINK in page.text
    assert "Set aside by a clinician" in page.text
    assert "the dog" not in page.text, "a clinician's words stay with clinicians"
    for odd in ("2020-01-01", "2026-13-01", "x"):
        assert clerk.get(f"{line}/days/{odd}").status_code == 404


def test_every_state_has_its_words() -> None:
    assert set(STATE_WORDS) == set(lifecycle.NEXT)
    assert set(BY_HAND) < set(STATE_WORDS)


def test_the_table_of_wearables_agrees_with_the_drivers() -> None:
    said = {profile: (each.name, each.encrypted) for profile, each in WEARABLES.items()}
    assert said == {profile: (kind.title, kind.encrypted) for profile, kind in DRIVERS.items()}
    assert link_note("homestretch") == ""
    assert link_note("nobody described it") == OPEN_LINK
