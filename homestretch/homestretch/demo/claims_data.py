"""What a claim needs besides the evidence, all invented: the demo's practice, its payer and its patients' particulars.

The NPIs carry a right check digit and belong to nobody we know of; claims go out as test interchanges.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from homestretch.demo.cohort import PatientStory

# The practice's own charges in dollars, invented and above the CMS figures, as charge masters are.
CHARGES = {
    "98975": "35.00", "98976": "65.00", "98977": "65.00", "98978": "65.00", "98979": "45.00", "98980": "90.00",
    "98981": "70.00", "98984": "65.00", "98985": "65.00", "98986": "65.00", "97110": "60.00", "97112": "62.00",
    "97140": "58.00", "97530": "66.00",
}  # fmt: skip
SHOULDER, KNEE = ["M25.511", "M75.41"], ["M25.561", "Z96.651"]
DIAGNOSES = {"upper_arm": SHOULDER, "wrist": SHOULDER, "thigh": KNEE}  # by where the first sensor is worn
STREETS = ("Orchard Street", "Mill Lane", "Harbor Road", "Quarry Avenue")


def practice(therapist: UUID) -> dict[str, Any]:
    """`tenant.practice` of the demo."""
    return {
        "name": "Homestretch Demo Clinic",
        "npi": "1234567893",
        "tax_id": "990000001",
        "taxonomy": "261QP2000X",
        "address": {
            "street": "100 Example Plaza",
            "more": "Suite 4",
            "city": "Albany",
            "state": "NY",
            "zip": "122070001",
        },
        "place_of_service": "11",
        "submitter": {"id": "DEMO0001", "contact": "Sam Okafor", "telephone": "518-555-0100"},
        "receiver": {"id": "DEMOPAYER", "name": "Demo Medicare Contractor"},
        "interchange": {"sender": "DEMO0001", "receiver": "DEMOPAYER", "test": True},
        "charges": CHARGES,
        "providers": {
            str(therapist): {"last": "Minh", "first": "Rosa", "npi": "1003000126", "taxonomy": "225100000X"}
        },
    }


def particulars(story: PatientStory) -> dict[str, Any]:
    """What a patient's claim needs beside name, birth date and record number."""
    return {
        "last": story.family,
        "first": story.given,
        "sex": "FM"[story.number % 2],  # the names alternate
        "address": {
            "street": f"{12 + 7 * story.number} {STREETS[story.number % len(STREETS)]}",
            "city": "Albany",
            "state": "NY",
            "zip": f"122{8 + story.number % 2:02}",
        },
        "payer": {
            "name": "Medicare Part B",
            "id": "DEMOB",
            "filing": "MB",
            "member_id": f"1EG4TE5MK{10 + story.number}",
        },
        "diagnoses": DIAGNOSES[story.placements[0]],
        "referring": {"last": "Vance", "first": "Nora", "npi": "1679576722"},
    }
