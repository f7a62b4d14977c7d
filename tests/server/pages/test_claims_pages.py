"""The clerk's way out and back in: claims in a zip, the audit file of a line, the payer's answer."""

from __future__ import annotations

import io
import json
import re
import zipfile
from uuid import UUID

import httpx
import pytest
from psycopg.types.json import Jsonb

from rtm_billing import audit_check
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
    assert "the practice&#39;s NPI" in page.text


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
