"""What claims need on file, typed by the clerk; and the corrections that exports ask for."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtm_server import enrol
from rtm_server.claims import parties
from rtm_server.claims.export import export_month
from rtm_server.claims.parties import Reader
from rtm_server.claims.testing import LATER, MARCH, NOW, PATIENT, PRACTICE, add_line
from rtm_server.claims.testing import furnish as furnish_claims
from rtm_server.store import Store
from rtm_server.testing import Clinic, make_clinic
from rtm_server.web.errors import InvalidError
from rtm_server.web.forms import checks, fields
from rtm_server.web.practice.fields import account_groups, practice_groups
from rtm_server.web.testing import PASSWORD, PROFILES, House, furnish

WHO = UUID(int=7)
PAGE = "/billing/practice"


@pytest.fixture
def clinic(pages_store: Store) -> Clinic:
    return make_clinic(pages_store)


def add_clerk(clinic: Clinic) -> str:
    login = f"{uuid4()}@example.org"
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        enrol.create_user(
            clinic.store, tx, clinic.tenant, "billing", login=login, password=PASSWORD, name="Cora Clerk"
        )
    return login


@pytest.fixture
def clerk(client: httpx.Client, clinic: Clinic) -> httpx.Client:
    client.post("/sign-in", data={"email": add_clerk(clinic), "password": PASSWORD})
    return client


def form_of(page: str) -> dict[str, str]:
    """What a browser would send if nothing were typed."""
    made = {
        name: unescape(value)
        for name, value in re.findall(r'<input[^>]*? name="([^"]+)"[^>]*? value="([^"]*)"', page)
    }
    for name, inside in re.findall(r'<select[^>]*? name="([^"]+)"[^>]*>(.*?)</select>', page):
        chosen = re.findall(r'value="([^"]*)" selected', inside)
        made[name] = chosen[0] if chosen else ""
    return made


def filed(clinic: Clinic) -> dict[str, Any]:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        row = tx.execute("SELECT practice FROM tenant WHERE tenant_id = %s", (clinic.tenant,)).fetchone()
    assert row is not None
    found: dict[str, Any] = row["practice"]
    return found


def test_needed_is_what_a_claim_misses() -> None:
    """Held to the code that makes claims: with nothing on file it names just the needed fields."""
    nothing = Reader({}, "practice")
    parties.billing_provider(nothing, "Clinic")
    parties.envelope(nothing, "Clinic", control=1, at=NOW)
    parties.provider(nothing, f"providers.{WHO}", "the therapist")
    named = {found[1] for each in nothing.missing if (found := re.search(r"\(practice\.([^)]+)\)", each))}
    assert named == {field.path for field in fields.fields(practice_groups({WHO: "Thea"})) if field.needed}
    nobody = Reader({}, "patient")
    parties.subscriber(nobody)
    parties.payer(nobody)
    parties.diagnoses(nobody)
    named = {found[1] for each in nobody.missing if (found := re.search(r"\(patient\.([^)]+)\)", each))}
    needed = {field.path for field in fields.fields(account_groups()) if field.needed}
    assert named - {"birth_date"} == needed, "the birth date comes from the enrolment"


def test_an_empty_practice_is_filled_in(clerk: httpx.Client, clinic: Clinic) -> None:
    page = clerk.get(PAGE).text
    assert "Claims wait for:" in page
    form = form_of(page)
    form |= {
        "npi": "1234567893", "tax_id": "12-3456789", "address.street": "1 Main St", "address.city": "Albany",
        "address.state": "ny", "address.zip": "12207-1234", "submitter.id": "SUB001",
        "submitter.contact": "Billing  Office", "submitter.telephone": "(518) 555-0100",
        "interchange.sender": "SUB001", "interchange.receiver": "13282", "interchange.test": "true",
        "receiver.id": "13282", "receiver.name": "Contractor", "charges.98977": "$1,065",
        f"providers.{clinic.therapist}.first": "Rosa", f"providers.{clinic.therapist}.last": "Minh",
        f"providers.{clinic.therapist}.npi": "1003000126",
    }  # fmt: skip
    done = clerk.post(PAGE, data=form)
    assert done.headers["location"] == f"{PAGE}?note=saved"
    page = clerk.get(f"{PAGE}?note=saved").text
    assert "Saved." in page
    assert "Claims wait for:" not in page
    kept = filed(clinic)
    assert kept["tax_id"] == "123456789"
    assert kept["address"] == {"street": "1 Main St", "city": "Albany", "state": "NY", "zip": "122071234"}
    assert kept["interchange"]["test"] is True
    assert kept["charges"] == {"98977": "1065.00"}
    assert kept["submitter"]["contact"] == "Billing Office"
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        row = tx.execute("SELECT detail FROM audit WHERE action = 'practice_changed'").fetchone()
    assert row is not None
    assert "npi" in row["detail"]["fields"]
    assert "1234567893" not in str(row["detail"]), "what changed, not the values"


def test_mistakes_are_marked_and_nothing_is_saved(clerk: httpx.Client, clinic: Clinic) -> None:
    form = form_of(clerk.get(PAGE).text)
    wrong = {
        "npi": "1234567890",
        "tax_id": "12",
        "address.zip": "12207",
        "charges.98977": "-5",
        "name": "Hill <PT>",
    }
    answer = clerk.post(PAGE, data=form | wrong)
    assert answer.status_code == 422
    assert answer.text.count('aria-invalid="true"') == 4
    for said in ("check digit", "A tax id has 9 digits", "needs all 9 digits", "dollars and cents"):
        assert said in answer.text
    assert 'value="Hill &lt;PT&gt;"' in answer.text, "what was typed is still there"
    assert filed(clinic) == {}


def test_two_clerks_do_not_overwrite_each_other(clerk: httpx.Client) -> None:
    form = form_of(clerk.get(PAGE).text)
    assert clerk.post(PAGE, data=form | {"npi": "1234567893"}).status_code == 303
    late = clerk.post(PAGE, data=form | {"tax_id": "123456789"})
    assert late.status_code == 409
    assert "Somebody has saved this page since" in late.text


def test_fields_of_ones_own_making_are_refused(clerk: httpx.Client, clinic: Clinic) -> None:
    form = form_of(clerk.get(PAGE).text)
    for extra in ("phone.home", "interchange", "charges.=1", "__proto__", f"providers.{uuid4()}.npi"):
        assert clerk.post(PAGE, data=form | {extra: "1"}).status_code == 422, extra
    assert filed(clinic) == {}


def test_a_patients_account(client: httpx.Client, house: House) -> None:
    own = furnish(house.store, PROFILES[:1])
    client.post("/sign-in", data={"email": own.billing, "password": PASSWORD})
    page = client.get("/billing/2026-11").text
    path = f"/billing/accounts/{own.patient}"
    assert f'href="{path}"' in page
    page = client.get(path).text
    assert "Ruth Abernathy" in page
    assert "Claims wait for:" in page
    typed = {
        "first": "Ruth", "last": "Abernathy", "sex": "F", "address.street": "2 Elm St", "address.city": "Albany",
        "address.state": "NY", "address.zip": "12208", "payer.name": "Medicare Part B", "payer.id": "13282",
        "payer.filing": "mb", "payer.member_id": "1EG4TE5MK73", "diagnoses": "m75.111 Z98.890",
    }  # fmt: skip
    assert client.post(path, data=form_of(page) | typed).status_code == 303
    page = client.get(path).text
    assert "Claims wait for:" not in page
    assert 'value="M75.111, Z98.890"' in page
    with own.store.tenant_tx(own.tenant) as tx:
        row = tx.execute("SELECT identifiers_enc FROM patient").fetchone()
        assert row is not None
        kept = enrol.identifiers(own.store, tx, own.tenant, own.patient, row["identifiers_enc"])
        assert kept["name"] == "Ruth Abernathy", "what has no field here stays"
        assert kept["birth_date"] == "1951-04-17"
        entry = tx.execute("SELECT detail FROM audit WHERE action = 'account_changed'").fetchone()
    assert entry is not None
    assert "Elm" not in str(entry["detail"])
    assert client.get(f"/billing/accounts/{house.patient}").status_code == 404, "another clinic's"
    assert client.get(f"/billing/accounts/{uuid4()}").status_code == 404


@pytest.mark.parametrize("login", ["therapist", "patient_login"])
def test_the_forms_are_the_clerks(client: httpx.Client, house: House, login: str) -> None:
    client.post("/sign-in", data={"email": getattr(house, login), "password": PASSWORD})
    for path in (PAGE, f"/billing/accounts/{house.patient}", "/billing/corrections"):
        assert client.get(path).status_code == 403
    for path in (PAGE, f"/billing/accounts/{house.patient}"):
        assert client.post(path, data={"npi": "1234567893"}).status_code == 403


def test_a_correction_says_what_to_ask_for(client: httpx.Client, clinic: Clinic) -> None:
    login = add_clerk(clinic)
    user = furnish_claims(clinic)
    client.post("/sign-in", data={"email": login, "password": PASSWORD})
    assert "No correction to ask for" in client.get("/billing/corrections").text
    add_line(clinic, user, "98979")
    export_month(clinic.store, clinic.tenant, MARCH, "837p", now=NOW)
    add_line(clinic, user, "98980", decision="replace")
    export_month(clinic.store, clinic.tenant, MARCH, "837p", now=LATER)
    page = client.get("/billing/corrections").text
    for words in ("1 correction to ask for", "Medicare Part B: reopen claim HS000000001", "Pat Example", "1EG4TE5MK73",
                  "98979 GP", "98980 GP", "$90.00", "not known yet"):  # fmt: skip
        assert words in page
    (line,) = re.findall(
        r'href="(/billing/2026-03/lines/[^"]+\.98980\.[^"]+)"', page.partition("What it becomes")[2]
    )
    assert (
        client.post(f"{line}/step", data={"to": "paid", "reason": "reopened, told by telephone"}).status_code
        == 303
    )
    page = client.get("/billing/corrections").text
    assert "No correction to ask for" in page
    assert "Answered" in page


VALUES: dict[str, Any] = {
    **PRACTICE,
    "providers": {str(WHO): {"last": "Minh", "first": "Rosa", "npi": "1003000126"}},
}


def test_what_is_on_file_passes_its_own_form() -> None:
    for groups, on_file in ((practice_groups({WHO: "Rosa"}), VALUES), (account_groups(), PATIENT)):
        typed = fields.check(groups, fields.shown(groups, on_file))
        assert typed.problems == {}
        again = fields.merged(on_file, typed.values)
        assert fields.lacking(groups, again) == []
        assert fields.shown(groups, fields.merged(again, typed.values)) == fields.shown(groups, again)


@given(
    st.dictionaries(
        st.sampled_from(["npi", "address.street", "charges.98977", "interchange.test"]), st.text(max_size=90)
    )
)
def test_no_form_loses_what_it_does_not_show(form: dict[str, str]) -> None:
    groups = practice_groups({})
    on_file = {"kept": {"deep": [1, 2]}, "address": {"old": "x"}, "npi": "1234567893"}
    typed = fields.check(groups, form)
    made = fields.merged(on_file, typed.values)
    assert made["kept"] == {"deep": [1, 2]}
    assert made["address"]["old"] == "x"
    assert set(typed.values) | set(typed.problems) == set(form)
    assert on_file["npi"] == "1234567893", "what was given is not changed"


@given(st.text(max_size=12))
def test_checks_say_a_sentence_or_give_a_value(text: str) -> None:
    for check in (checks.npi, checks.money, checks.tax_id, checks.zip_9, checks.diagnoses, checks.day, checks.sex,
                  checks.yes_or_no, checks.telephone, checks.text, checks.state):  # fmt: skip
        said = "."
        try:
            check(text)
        except ValueError as problem:
            said = str(problem)
        assert said.endswith(".")


def test_a_form_of_another_kind_is_refused() -> None:
    with pytest.raises(InvalidError):
        fields.check(account_groups(), {"name": "x"})
