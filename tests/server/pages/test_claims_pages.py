"""The clerk's way out and back in: claims in a zip, the audit file of a line, the payer's answer."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest
from psycopg.types.json import Jsonb

from rtm_billing import audit_check
from rtm_billing.x12 import interchange
from rtm_server import enrol
from rtm_server.claims.testing import PATIENT, PRACTICE
from rtm_server.crypto import patient_place
from rtm_server.store import Tx
from rtm_server.web.guard import UPLOAD_BODY
from rtm_server.web.testing import PASSWORD, PROFILES, House, furnish

HELD = tuple(profile for profile in PROFILES if profile.name in {"Samuel Ito", "Arun Mehta"})
MONTH = "/billing/2026-11"


@pytest.fixture
def month(house: House) -> House:
    """A clinic of its own that has on file what claims need."""
    made = furnish(house.store, HELD)
    with made.store.tenant_tx(made.tenant) as tx:
        therapists = [row["therapist_id"] for row in tx.execute("SELECT DISTINCT therapist_id FROM episode")]
        providers = {str(each): {"last": "Minh", "first": "Rosa", "npi": "1003000126"} for each in therapists}
        charges = dict.fromkeys(("98975", "98977", "98979", "98980", "98981", "98985"), "50")
        tx.execute(
            "UPDATE tenant SET practice = %s WHERE tenant_id = %s",
            (Jsonb({**PRACTICE, "providers": providers, "charges": charges}), made.tenant),
        )
        for row in tx.execute("SELECT patient_id, identifiers_enc FROM patient").fetchall():
            _file(made, tx, row["patient_id"], row["identifiers_enc"])
    return made


def _file(house: House, tx: Tx, patient: UUID, box: bytes) -> None:
    own = enrol.identifiers(house.store, tx, house.tenant, patient, box)
    sealed = house.store.sealing_key(tx, house.tenant, patient).seal(
        json.dumps({**PATIENT, **own}).encode(), patient_place(house.tenant, patient, "identifiers_enc")
    )
    tx.execute("UPDATE patient SET identifiers_enc = %s WHERE patient_id = %s", (sealed, patient))


@pytest.fixture
def clerk(client: httpx.Client, month: House) -> httpx.Client:
    """Signed in, with the ready lines of November released."""
    client.post("/sign-in", data={"email": month.billing, "password": PASSWORD})
    page = client.get(MONTH).text
    ready = re.findall(r'name="line" value="([^"]+)"', page.partition(f'action="{MONTH}/release"')[2])
    assert ready
    assert client.post(f"{MONTH}/release", data={"line": ready}).status_code == 303
    return client


def unzipped(response: httpx.Response) -> dict[str, bytes]:
    assert response.status_code == 200, response.text
    with zipfile.ZipFile(io.BytesIO(response.content)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def test_claims_come_in_a_zip_and_again_as_they_were(clerk: httpx.Client) -> None:
    first = clerk.post(f"{MONTH}/export", data={"format": "837p"})
    files = unzipped(first)
    (name,) = (each for each in files if each.endswith(".837"))
    assert files[name].startswith(b"ISA*")
    manifest = json.loads(files["manifest.json"])
    assert manifest["files"][0]["by"]
    assert manifest["rows"] >= 2
    assert unzipped(clerk.post(f"{MONTH}/export", data={"format": "837p"})) == files
    assert first.headers["content-disposition"] == 'attachment; filename="claims-2026-11-837p.zip"'
    assert clerk.post(f"{MONTH}/export", data={"format": "pdf"}).status_code == 422
    assert clerk.post("/billing/2026-01/export", data={"format": "csv"}).status_code == 422


def test_what_is_missing_stands_on_the_page(clerk: httpx.Client, month: House) -> None:
    with month.store.tenant_tx(month.tenant) as tx:
        tx.execute("UPDATE tenant SET practice = '{}' WHERE tenant_id = %s", (month.tenant,))
    page = clerk.post(f"{MONTH}/export", data={"format": "837p"})
    assert page.status_code == 422
    assert "Nothing could go" in page.text
    assert re.search("Left out of the export: not on file: [^<]*the practice&#39;s NPI", page.text)
    assert "practice.npi" not in page.text, "a path is for who writes files"


def test_a_line_s_audit_file(clerk: httpx.Client) -> None:
    links = re.findall(rf'href="({MONTH}/lines/[^"]+)"', clerk.get(MONTH).text.partition('id="released"')[2])
    assert "Released, ready to go" in clerk.get(MONTH).text
    clerk.post(f"{MONTH}/export", data={"format": "837p"})
    page = clerk.get(links[0]).text
    assert re.search(
        r"claim HS0000000.*History.*Released, ready to go.*Sent.*claim HS0000000", page, re.DOTALL
    )
    (found,) = re.findall(r'href="([^"]+/audit\.zip)"', page)
    made = clerk.get(found)
    assert audit_check.check(made.content)["fingerprint"]
    assert made.headers["content-disposition"].startswith('attachment; filename="audit-')
    assert clerk.get(f"{links[0]}/audit.pdf").content.startswith(b"%PDF")
    assert clerk.get(f"{MONTH}/lines/nothing/audit.pdf").status_code == 404


def test_a_payers_answer(clerk: httpx.Client) -> None:
    files = unzipped(clerk.post(f"{MONTH}/export", data={"format": "837p"}))
    (text,) = (content.decode() for name, content in files.items() if name.endswith(".837"))
    control = re.findall(r"\nGS\*(?:[^*]*\*){5}(\d+)\*", text)[0]
    answer = (
        "ISA*00*          *00*          *ZZ*13282          *ZZ*SUB001         *261123*1200*^*00501*000000009*0*T*:~"
        "GS*FA*13282*SUB001*20261123*1200*9*X*005010X231A1~ST*999*0001*005010X231A1~"
        f"AK1*HC*{control}*005010X222A1~AK2*837*0001*005010X222A1~IK5*R*5~AK9*R*1*1*0~SE*6*0001~GE*1*9~IEA*1*000000009~"
    )
    sent = {"answer": ("../../=evil.txt", answer.encode())}
    page = clerk.post(f"{MONTH}/responses", files=sent).text
    assert re.search(r"999 taken in: [1-9]\d* lines? moved\.", page)
    assert "evil" not in page
    assert "taken in before" in clerk.post(f"{MONTH}/responses", files=sent).text
    bad = clerk.post(f"{MONTH}/responses", files={"answer": ("x", b"hello")})
    assert bad.status_code == 422
    assert "Nothing was changed" in bad.text
    ready = re.findall(r'name="line" value="([^"]+)"', clerk.get(MONTH).text)
    assert ready, "what was rejected may be released anew"
    assert "ent before and rejected: 999: the file was rejected" in clerk.get(MONTH).text


def test_sizes_and_roles(clerk: httpx.Client, client_now: httpx.Client, month: House) -> None:
    large = {"answer": ("x", b"I" * (UPLOAD_BODY + 1))}
    assert clerk.post(f"{MONTH}/responses", files=large).status_code == 413
    assert clerk.post(f"{MONTH}/release", content=b"x" * 70_000).status_code == 413
    client_now.post("/sign-in", data={"email": month.therapist, "password": PASSWORD})
    assert client_now.post(f"{MONTH}/export", data={"format": "csv"}).status_code == 403
    assert client_now.post(f"{MONTH}/responses", files={"answer": ("x", b"ISA")}).status_code == 403
    assert client_now.get(f"{MONTH}/lines/x/audit.zip").status_code == 403


OCTOBER = "/billing/2026-10"


@pytest.fixture
def minutes(client: httpx.Client, month: House) -> httpx.Client:
    """Signed in: Samuel has 45 certain minutes in October and 21 that were entered late."""
    with month.store.tenant_tx(month.tenant) as tx:
        for day, length in ((12, 25), (13, 20)):
            tx.execute(
                "INSERT INTO time_entry (tenant_id, entry_id, episode_id, author_id, role, started_at, ended_at,"
                " activity, contact, entered_at) SELECT tenant_id, gen_random_uuid(), episode_id, therapist_id,"
                " 'therapist', %(at)s, %(at)s + %(length)s, 'call', 'phone', %(at)s + %(length)s FROM episode"
                " WHERE tenant_id = %(tenant)s AND patient_id = %(patient)s",
                {
                    "at": datetime(2026, 10, day, 15, tzinfo=UTC),
                    "length": timedelta(minutes=length),
                    "tenant": month.tenant,
                    "patient": month.patients["Samuel Ito"],
                },
            )
    client.post("/sign-in", data={"email": month.billing, "password": PASSWORD})
    return client


def offered(page: str, form: str) -> list[str]:
    """Keys of 98981 that a form of the page offers."""
    block = page.partition('id="hold"' if form == "release-held" else 'id="ready"')[2].partition(
        "</section>"
    )[0]
    return re.findall(r'name="line" value="([^"]+\.98981\.[^"]+)"', block)


@pytest.mark.parametrize("certain_first", [True, False])
def test_units_in_doubt_are_released_with_those_that_stand_as_one_line(
    minutes: httpx.Client, month: House, certain_first: bool
) -> None:
    page = minutes.get(OCTOBER).text
    assert "98981 GP</span>, 1 more unit" in page
    assert "as one line of 2" in page
    (certain,), (doubtful,) = offered(page, "release"), offered(page, "release-held")
    evidence = minutes.get(f"{OCTOBER}/lines/{doubtful}").text
    assert "1 more unit" in evidence
    assert "21 min, call, phone, by Nora Feld, PT (therapist), entered 9 days later" in evidence
    assert "20 min, call, phone, by Nora Feld, PT (therapist)<" in evidence, "entered at once: nothing to say"
    ready = re.findall(r'name="line" value="([^"]+)"', page.partition(f'action="{OCTOBER}/release"')[2])
    rest = [key for key in ready if key != certain]
    assert minutes.post(f"{OCTOBER}/release", data={"line": doubtful}).status_code == 409, "never in bulk"
    assert minutes.post(f"{OCTOBER}/release-held", data={"line": doubtful, "reason": "no"}).status_code == 422
    if certain_first:
        assert minutes.post(f"{OCTOBER}/release", data={"line": certain}).status_code == 303
        assert offered(minutes.get(OCTOBER).text, "release-held") == [doubtful], "still to be decided on"
    form = {"line": doubtful, "reason": "the telephone log of that day is on file"}
    assert minutes.post(f"{OCTOBER}/release-held", data=form).status_code == 303
    assert minutes.post(f"{OCTOBER}/release-held", data=form).status_code == 409, "once"
    assert minutes.post(f"{OCTOBER}/release", data={"line": rest}).status_code == 303
    page = minutes.get(OCTOBER).text
    assert offered(page, "release") == offered(page, "release-held") == []
    assert "98981 GP</span> × 2" in page
    line = minutes.get(f"{OCTOBER}/lines/{certain}").text
    assert "the telephone log of that day is on file" in line
    assert ("98981 with 2 units was released instead" in line) == certain_first
    with month.store.tenant_tx(month.tenant) as tx:
        noted = tx.execute(
            "SELECT detail FROM audit WHERE action = 'claim_line_released' AND detail->>'code' = '98981'"
            " ORDER BY entry_no DESC LIMIT 1"
        ).fetchone()
    assert noted is not None
    assert noted["detail"]["units"] == 2
    assert noted["detail"]["units_in_doubt"] == 1

    files = unzipped(minutes.post(f"{OCTOBER}/export", data={"format": "837p"}))
    (text,) = (content.decode() for name, content in files.items() if name.endswith(".837"))
    assert re.findall(r"SV1\*HC:98981:GP\*(\d+)\*UN\*(\d+)", text) == [("100", "2")]
    assert unzipped(minutes.post(f"{OCTOBER}/export", data={"format": "837p"})) == files
    report = audit_check.check(minutes.get(f"{OCTOBER}/lines/{certain}/audit.zip").content)
    assert [each for each in report["faults"] if "raw data" not in each] == [], (
        "furnished days have no samples"
    )


def test_units_in_doubt_do_not_join_what_has_left(minutes: httpx.Client) -> None:
    page = minutes.get(OCTOBER).text
    (doubtful,) = offered(page, "release-held")
    ready = re.findall(r'name="line" value="([^"]+)"', page.partition(f'action="{OCTOBER}/release"')[2])
    assert minutes.post(f"{OCTOBER}/release", data={"line": ready}).status_code == 303
    assert minutes.post(f"{OCTOBER}/export", data={"format": "837p"}).status_code == 200
    form = {"line": doubtful, "reason": "the telephone log of that day is on file"}
    assert minutes.post(f"{OCTOBER}/release-held", data=form).status_code == 409
    page = minutes.get(OCTOBER).text
    assert "1 more unit would rest on doubtful evidence" in page
    assert page.count("Already sent as HS") == 1, "what stands under Released is not told twice"


def test_money_besides_the_claims_is_shown_each_time(clerk: httpx.Client) -> None:
    files = unzipped(clerk.post(f"{MONTH}/export", data={"format": "837p"}))
    (text,) = (content.decode() for name, content in files.items() if name.endswith(".837"))
    claim = re.findall(r"\nCLM\*([^*]+)\*", text)[0]
    body = [
        "ST*835*0001~", "BPR*I*12.5*C*CHK************20261120~", "TRN*1*CHECK1*1123456789~", "DTM*405*20261120~",
        "N1*PR*CONTRACTOR~", "N3*1 PAYER WAY~", "N4*ALBANY*NY*12207~", "PER*BL*HELP*TE*5185550199~",
        "N1*PE*RIVERSIDE*XX*1234567893~", f"PLB*1234567893*20261231*WO:{claim}*12.5*L6*-0.75~", "SE*11*0001~",
    ]  # fmt: skip
    answer = interchange(
        [body], sender=("ZZ", "13282"), receiver=("ZZ", "SUB001"), control=7, group_control=7,
        group=("HP", "005010X221A1"), at=datetime(2026, 11, 20, tzinfo=UTC), test=True,
    )  # fmt: skip
    for said in ("0 lines moved", "taken in before"):
        page = clerk.post(f"{MONTH}/responses", files={"answer": ("a.835", answer.encode())}).text
        assert said in page
        told = page.partition("Money besides the claims")[2].partition("</section>")[0]
        assert "12.50 withheld from the payment besides the claims: an overpayment taken back (WO)" in told
        assert "0.75 added to the payment besides the claims: interest (L6)" in told
    assert "Money besides" not in clerk.get(MONTH).text


def test_what_was_left_out_says_why_beside_the_line(clerk: httpx.Client, month: House) -> None:
    """One of two patients has no payer on file: the other's claims go, and the page says what is missing, once."""
    with month.store.tenant_tx(month.tenant) as tx:
        row = tx.execute(
            "SELECT p.patient_id, p.identifiers_enc FROM claim_line l JOIN episode e USING (tenant_id, episode_id)"
            " JOIN patient p USING (tenant_id, patient_id) ORDER BY p.patient_id LIMIT 1"
        ).fetchone()
        assert row is not None
        own = enrol.identifiers(month.store, tx, month.tenant, row["patient_id"], row["identifiers_enc"])
        sealed = month.store.sealing_key(tx, month.tenant, row["patient_id"]).seal(
            json.dumps({**own, "payer": {}}).encode(),
            patient_place(month.tenant, row["patient_id"], "identifiers_enc"),
        )
        tx.execute(
            "UPDATE patient SET identifiers_enc = %s WHERE patient_id = %s", (sealed, row["patient_id"])
        )
    for _ in range(2):
        clerk.post(f"{MONTH}/export", data={"format": "837p"})
    page = clerk.get(MONTH).text
    assert "Left out of the export: not on file: " in page
    with month.store.tenant_tx(month.tenant) as tx:
        told = tx.execute(
            "SELECT line_id, count(*) AS n FROM claim_line_event WHERE reason LIKE 'left out%%' GROUP BY line_id"
        ).fetchall()
    assert told
    assert {each["n"] for each in told} == {1}


def test_what_is_replaced_is_counted_nowhere(clerk: httpx.Client, month: House) -> None:
    before = clerk.get(MONTH).text
    released = int(re.findall(r"(\d+) released</h1>", before)[0])
    with month.store.tenant_tx(month.tenant) as tx:
        tx.execute(
            "UPDATE claim_line SET state = 'replaced' WHERE line_id = (SELECT min(line_id::text)::uuid FROM claim_line)"
        )
    assert f"{released - 1} released</h1>" in clerk.get(MONTH).text
    rows = list(csv.DictReader(io.StringIO(clerk.get(f"{MONTH}.csv").text)))
    assert sorted({row["stands"] for row in rows}) == ["approved", "replaced"]


def test_recordings_that_wait_for_analysis_are_said(clerk: httpx.Client, month: House) -> None:
    assert "not analyzed yet" not in clerk.get(MONTH).text
    with month.store.tenant_tx(month.tenant) as tx:
        tx.execute(
            "UPDATE recording SET state = 'complete' WHERE recording_id IN"
            " (SELECT recording_id FROM recording ORDER BY opened_at DESC LIMIT 2)"
        )
    assert "2 recordings of these weeks are not analyzed yet" in clerk.get(MONTH).text
    assert "not analyzed yet" not in clerk.get("/billing/2026-03").text
