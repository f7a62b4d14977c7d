"""Shared helpers of the billing tests: hypothesis profiles, a sample claim."""

import os
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, settings

from rtm_billing.claim import (
    Address,
    BillingProvider,
    Claim,
    ClaimLine,
    Envelope,
    PayerName,
    Provider,
    Subscriber,
)

settings.register_profile(
    "billing",
    max_examples=int(os.environ.get("RTM_TORTURE_EXAMPLES", "60")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def claim() -> Claim:
    """A Medicare claim of one month: supply and management."""
    return Claim(
        claim_id="HS-000123",
        billing=BillingProvider(
            name="Riverside Physical Therapy",
            npi="1234567893",
            tax_id="123456789",
            taxonomy="261QP2000X",
            address=Address(street="1 Main St", city="Albany", state="NY", zip_code="12207-1234"),
        ),
        subscriber=Subscriber(
            last="Nuñez O’Brien",
            first="Zoë",
            member_id="1EG4TE5MK73",
            address=Address(street="2 Elm St", more="Apt 3", city="Albany", state="NY", zip_code="12208"),
            born=date(1950, 2, 28),
            sex="F",
        ),
        payer=PayerName(name="Medicare Part B", payer_id="13282", filing="MB"),
        total=Decimal("190.10"),
        lines=(
            ClaimLine(
                control_number="L1",
                code="98977",
                modifiers=("GP",),
                charge=Decimal("80.10"),
                units=1,
                service_date=date(2026, 3, 30),
            ),
            ClaimLine(
                control_number="L2",
                code="98980",
                modifiers=("GP", "CQ"),
                charge=Decimal("60.00"),
                units=1,
                service_date=date(2026, 3, 31),
                pointers=(1, 2),
            ),
            ClaimLine(
                control_number="L3",
                code="98981",
                modifiers=("GP", "CQ"),
                charge=Decimal("50"),
                units=1,
                service_date=date(2026, 3, 31),
                pointers=(2,),
            ),
        ),
        diagnoses=("M25.561", "Z96.651"),
        medical_record="MRN 77",
        note="plan of care certified 03/01",
        rendering=Provider(last="Müller", first="Jörg", npi="1003000126", taxonomy="225100000X"),
        referring=Provider(last="Łukasz", first="Anna", npi="1679576722"),
    )


@pytest.fixture
def envelope() -> Envelope:
    """A test interchange of 2026-05-01."""
    return Envelope(
        sender=("ZZ", "HOMESTRETCH"),
        receiver=("ZZ", "13282"),
        control=42,
        group_control=42,
        at=datetime(2026, 5, 1, 9, 30, tzinfo=UTC),
        test=True,
        submitter="Riverside Physical Therapy",
        submitter_id="SUB001",
        contact="Billing Office",
        telephone="(518) 555-0100",
        receiver_name="NGS Medicare",
        receiver_id="13282",
    )
