"""The claims CSV: no cell starts a formula, the same rows give the same bytes, the manifest adds up."""

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from rtm_billing.claims_csv import COLUMNS, ClaimRow, defused, manifest, write_claims_csv

ROW = ClaimRow(
    claim_line_id="L1",
    clinic_id="C1",
    billing_npi="1234567893",
    rendering_npi="1003000126",
    patient_account="A1",
    last_name="Nuñez, Ana",
    first_name='Zo"ë',
    dob=date(1950, 2, 28),
    sex="F",
    payer="Medicare Part B",
    member_id="1EG4TE5MK73",
    episode_id="E1",
    dx1="M25.561",
    cpt="98977",
    modifier1="GP",
    units=1,
    dos_from=date(2026, 3, 30),
    dos_to=date(2026, 3, 30),
    pos="11",
    charge=Decimal("80.10"),
    data_days=16,
    rules_version="1",
    generated_at_utc=datetime(2026, 5, 1, tzinfo=UTC),
)


def _read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_round_trip_and_numbers() -> None:
    text = write_claims_csv([ROW])
    row = _read(text)[0]
    assert tuple(row) == COLUMNS
    assert (row["last_name"], row["first_name"]) == ("Nuñez, Ana", 'Zo"ë')
    assert (row["charge"], row["units"], row["data_days"], row["month_minutes"]) == ("80.10", "1", "16", "")
    assert ",80.10," in text
    assert len(row["row_hash"]) == 64
    assert text == write_claims_csv([ROW])


def test_text_is_quoted_and_lines_end_as_rfc_4180_says() -> None:
    head, row, end = write_claims_csv([ROW]).split("\r\n")
    assert head == ",".join(f'"{name}"' for name in COLUMNS)
    assert row.startswith('"L1","C1","1234567893",')
    assert end == ""
    assert "\n" not in row


def test_a_changed_cell_changes_the_hash() -> None:
    one, other = _read(write_claims_csv([ROW, replace(ROW, units=2)]))
    assert one["row_hash"] != other["row_hash"]


@pytest.mark.parametrize(
    "attack",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        " =1",
        "\u00a0=1",
        "\u200b=1",
        "\uff1d1",
        "x\n=1",
        "x\r\n+1",
        "|cmd",
        "\n",
    ],
)
def test_formulas_are_defused(attack: str) -> None:
    row = _read(write_claims_csv([replace(ROW, last_name=attack)]))[0]
    assert row["last_name"].startswith("'")


@pytest.mark.parametrize("harmless", ["O'Brien", "Ana-Maria", "a=b", "", "x\ny", "3rd"])
def test_harmless_text_is_left_alone(harmless: str) -> None:
    assert defused(harmless) == harmless


@settings(settings.get_profile("billing"))
@given(st.text())
def test_no_text_starts_a_formula(text: str) -> None:
    made = defused(text)
    assert made.lstrip()[:1] not in {"=", "+", "-", "@"} or made.startswith("'")
    assert "\x00" not in made


def test_manifest_adds_up() -> None:
    rows = [ROW, replace(ROW, units=2, charge=Decimal("0.20"))]
    made = manifest(rows, write_claims_csv(rows), by="clerk", at=ROW.generated_at_utc)
    assert (made["rows"], made["units"], made["charge"]) == (2, 3, "80.30")
    assert len(str(made["sha256"])) == 64
