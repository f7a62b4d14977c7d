"""A line's evidence in words. Days, minutes and contacts; never a clinical note."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from rtm_server.ledger import Doubtful
from rtm_server.web.billing.views import DATA_DAY, EvidenceItem
from rtm_server.web.wording import full_day, sentence

CHANNELS = {"phone": "by phone", "video": "by video", "in_person": "in person"}


def items(evidence: Mapping[str, Any], doubts: Sequence[Doubtful] = ()) -> list[EvidenceItem]:
    """Contacts, minutes, set-up and days, in the order a reviewer asks for them; days in doubt say why."""
    return [
        *_set_up(evidence),
        *_minutes(evidence),
        *_contacts(evidence),
        *_days(evidence, {each.on for each in doubts}),
        *(EvidenceItem("Day in doubt", full_day(each.on), sentence(each.why), each.on) for each in doubts),
        *_source(evidence),
    ]


def _set_up(evidence: Mapping[str, Any]) -> Iterable[EvidenceItem]:
    if evidence.get("setup_on"):
        yield EvidenceItem("Set-up", _day(evidence["setup_on"]), "Device set-up and patient education")


def _minutes(evidence: Mapping[str, Any]) -> Iterable[EvidenceItem]:
    if "minutes" in evidence:
        assistant = float(evidence.get("assistant_seconds") or 0.0) / 60.0
        said = f"{evidence['minutes']} minutes, overlaps united"
        if assistant:
            said += f", of these {assistant:.0f} with only assistants"
        yield EvidenceItem("Minutes", "In the month", said)


def _contacts(evidence: Mapping[str, Any]) -> Iterable[EvidenceItem]:
    for contact in evidence.get("contacts") or ():
        yield EvidenceItem(
            "Live contact", _day(contact["on"]), CHANNELS.get(contact["channel"], str(contact["channel"]))
        )


def _days(evidence: Mapping[str, Any], doubted: set[date]) -> Iterable[EvidenceItem]:
    for day in evidence.get("data_days") or ():
        on = date.fromisoformat(str(day))
        if on not in doubted:
            yield EvidenceItem(DATA_DAY, full_day(on), "Therapeutic data received", on)


def _source(evidence: Mapping[str, Any]) -> Iterable[EvidenceItem]:
    if evidence.get("rule_source"):
        yield EvidenceItem("Rule", "In force", str(evidence["rule_source"]))


def _day(value: object) -> str:
    return full_day(date.fromisoformat(str(value)))
