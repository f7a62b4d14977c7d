"""The demo's invented practice and patients make claims that the validator takes."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime

import pyx12.params
import pyx12.x12n_document

from homestretch.demo import claims_data
from homestretch.demo.cohort import cohort
from rtm_billing.rules import RTM_CODES
from rtm_server.claims.export import export_month
from rtm_server.claims.testing import MARCH, NOW, add_line, furnish
from rtm_server.store import Store
from rtm_server.testing import make_clinic


def test_every_patient_of_the_demo_can_be_billed(store: Store) -> None:
    now = datetime(2026, 4, 20, 15, tzinfo=UTC)
    for story in cohort(date(2026, 4, 20), patients=6, days=30, now=now):
        clinic = make_clinic(store)
        particulars = {
            "middle": "",
            "birth_date": story.born.isoformat(),
            "record_number": f"D{1000 + story.number}",
            **claims_data.particulars(story),
        }
        clerk = furnish(clinic, practice=claims_data.practice(clinic.therapist), **particulars)
        for code in ("98975", "98977", "98980"):
            add_line(clinic, clerk, code)
        done = export_month(store, clinic.tenant, MARCH, "837p", now=NOW)
        assert done.left_out == ()
        answer, text = io.StringIO(), io.StringIO(done.documents[0].content.decode("ascii"))
        assert pyx12.x12n_document.x12n_document(pyx12.params.params(), text, fd_997=answer, fd_html=None)
        assert "AK9*A*" in answer.getvalue()
        assert story.family.upper() in text.getvalue()


def test_the_charge_master_knows_every_code() -> None:
    assert set(claims_data.CHARGES) >= RTM_CODES
