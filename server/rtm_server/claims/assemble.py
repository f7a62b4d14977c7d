"""From released lines to claims: one claim an episode, a replacement claim of its own, or a correction to be asked for.

What lacks something is left out and named by its lines; the name of the patient is not needed for that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from rtm_billing.claim import Claim, ClaimLine, Envelope
from rtm_billing.claim837p import write_837p
from rtm_billing.claim_checks import NEVER_TOGETHER
from rtm_billing.errors import CaseError
from rtm_billing.payers import PROFILES
from rtm_server import enrol
from rtm_server.claims import parties
from rtm_server.claims.parties import Reader
from rtm_server.claims.sent import Sent, sent_claims
from rtm_server.errors import ErasedError
from rtm_server.store import Store, Tx

_READY = """
SELECT l.*, e.patient_id, e.therapist_id FROM claim_line l JOIN episode e USING (tenant_id, episode_id)
WHERE l.tenant_id = %s AND l.state = 'approved' AND l.service_date BETWEEN %s AND %s
ORDER BY l.episode_id, l.service_date, l.code, l.line_id FOR UPDATE OF l
"""

ADD_ON, ITS_BASE = "98981", "98980"


@dataclass(frozen=True, slots=True)
class Clinic:
    """What every claim of a clinic shares."""

    tenant: UUID
    name: str
    timezone: str
    practice: Mapping[str, Any]
    payer_profile: str
    correction: str | None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A claim that may go. lines: (id, control number), those carried over from the replaced claim included.

    The claim's id and the control numbers of new lines are placeholders until the export numbers them.
    replaced: lines of the old claim that the new ones stand for. reopening: no claim goes; the payer is asked to
    correct `replaces`.
    """

    episode: UUID
    claim: Claim
    lines: tuple[UUID, ...]
    carried: tuple[UUID, ...] = ()
    replaced: tuple[UUID, ...] = ()
    replaces: Sent | None = None
    reopening: bool = False


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Lines that could not go, and what they lack."""

    episode: UUID
    lines: tuple[str, ...]
    why: str
    ids: tuple[UUID, ...] = ()

    @property
    def sentence(self) -> str:
        """One sentence for whoever has to mend it."""
        return f"{', '.join(self.lines)} of episode {self.episode} left out: {self.why}"


@dataclass(slots=True)
class Assembled:
    """What may go and what may not."""

    prepared: list[Prepared] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def clinic_of(tx: Tx, tenant: UUID) -> Clinic:
    """The clinic's master data."""
    row = tx.execute("SELECT * FROM tenant WHERE tenant_id = %s", (tenant,)).fetchone()
    if row is None:
        raise ValueError("there is no such clinic")
    correction = row["bill_settings"].get("correction")
    return Clinic(
        tenant, row["name"], row["timezone"], row["practice"], row["payer_profile"],
        correction if isinstance(correction, str) else None,
    )  # fmt: skip


def assemble(
    store: Store, tx: Tx, clinic: Clinic, first: date, last: date, at: datetime, trial: Envelope
) -> Assembled:
    """All released lines with a service date in [first, last]. trial: any envelope, to write every claim once."""
    found = Assembled()
    for group in _groups(tx, clinic, tx.execute(_READY, (clinic.tenant, first, last)).fetchall()):
        try:
            found.prepared.append(_prepare(store, tx, clinic, group, at, trial))
        except CaseError as problem:
            named = tuple(f"{line['code']} of {line['service_date']}" for line in group.lines)
            ids = tuple(line["line_id"] for line in group.lines)
            found.left_out.append(LeftOut(group.episode, named, str(problem), ids))
    return found


@dataclass(frozen=True, slots=True)
class _Group:
    episode: UUID
    lines: tuple[dict[str, Any], ...]
    replaces: Sent | None


def _groups(tx: Tx, clinic: Clinic, rows: Sequence[dict[str, Any]]) -> Iterable[_Group]:
    """One group an episode; lines that correct a sent claim are a group of their own."""
    by_episode: dict[UUID, list[dict[str, Any]]] = {}
    for row in rows:
        by_episode.setdefault(row["episode_id"], []).append(row)
    for episode, lines in by_episode.items():
        sent = sent_claims(tx, clinic.tenant, episode)
        parts: dict[UUID | None, list[dict[str, Any]]] = {}
        old: dict[UUID | None, Sent | None] = {None: None}
        for line in lines:
            claim = next((each for each in sent if _outgrown(each, line) or _awaits(each, line)), None)
            old[claim.claim if claim else None] = claim
            parts.setdefault(claim.claim if claim else None, []).append(line)
        for key, part in parts.items():
            yield _Group(episode, tuple(part), old[key])


def _outgrown(sent: Sent, line: Mapping[str, Any]) -> tuple[UUID, ...]:
    """Lines of a sent claim that a new line never stands beside, in the same period."""
    return tuple(
        each["line_id"]
        for each in sent.lines
        if (each["period_from"], each["period_to"]) == (line["period_from"], line["period_to"])
        and ({(each["code"], line["code"]), (line["code"], each["code"])} & NEVER_TOGETHER)
    )


def _awaits(sent: Sent, line: Mapping[str, Any]) -> bool:
    """Whether a sent claim holds what a new add-on never stands without: 98980 of the period of a 98981."""
    period = (line["period_from"], line["period_to"])
    return line["code"] == ADD_ON and any(
        each["code"] == ITS_BASE and (each["period_from"], each["period_to"]) == period for each in sent.lines
    )


def _prepare(store: Store, tx: Tx, clinic: Clinic, group: _Group, at: datetime, trial: Envelope) -> Prepared:
    row = group.lines[0]
    practice = Reader(clinic.practice, "practice")
    patient = Reader(_identifiers(store, tx, clinic.tenant, row["patient_id"], group.episode), "patient")
    replaced = tuple({each: None for line in group.lines for each in _lines_of(group.replaces, line)})
    carried = [
        line for line in (group.replaces.lines if group.replaces else ()) if line["line_id"] not in replaced
    ]
    reopening = group.replaces is not None and _by_reopening(clinic, group, patient)
    if reopening and not replaced and group.replaces is not None:
        raise CaseError(
            f"{ADD_ON} stands with the {ITS_BASE} of claim {group.replaces.number}, which has left, and this payer"
            " takes no replacement claim: ask the payer to add it"
        )
    shown = [*group.lines, *([] if reopening else carried)]
    lines = tuple(
        ClaimLine(
            control_number=line["control"] or f"?{number}",
            code=line["code"],
            modifiers=tuple(line["modifiers"]),
            charge=parties.charge(practice, line["code"], line["units"]),
            units=line["units"],
            service_date=line["service_date"],
            pointers=tuple(range(1, 1 + min(4, len(parties.diagnoses(Reader(patient.filed, "patient")))))),
        )
        for number, line in enumerate(shown)
    )
    therapist = f"providers.{row['therapist_id']}"
    claim = Claim(
        claim_id="?",
        billing=parties.billing_provider(practice, clinic.name),
        subscriber=parties.subscriber(patient),
        payer=parties.payer(patient),
        total=sum((line.charge for line in lines), Decimal(0)),
        lines=lines,
        diagnoses=parties.diagnoses(patient),
        place=practice.optional("place_of_service") or "11",
        prior_authorization=patient.optional("payer.prior_authorization"),
        medical_record=patient.optional("record_number"),
        rendering=parties.provider(practice, therapist, "the treating therapist"),
        referring=parties.provider(patient, "referring", "who refers") if patient.at("referring") else None,
        supervising=(
            parties.provider(practice, "supervising", "who supervises")
            if practice.at("supervising")
            else None
        ),
    )
    if missing := [*practice.missing, *patient.missing]:
        raise CaseError("not on file: " + ", ".join(dict.fromkeys(missing)))
    if group.replaces is not None and not reopening:
        if group.replaces.payer_control is None:
            raise CaseError(
                f"it replaces claim {group.replaces.number}, whose number at the payer is not known yet: take in its"
                " 277CA or 835 first"
            )
        claim = replace(claim, frequency="7", payer_control_number=group.replaces.payer_control)
    write_837p([claim], replace(trial, at=at))  # our own checks, and letters that X12 cannot carry
    return Prepared(
        group.episode, claim, tuple(line["line_id"] for line in group.lines),
        () if reopening else tuple(line["line_id"] for line in carried), replaced, group.replaces, reopening,
    )  # fmt: skip


def _lines_of(sent: Sent | None, line: Mapping[str, Any]) -> tuple[UUID, ...]:
    return () if sent is None else _outgrown(sent, line)


def _by_reopening(clinic: Clinic, group: _Group, patient: Reader) -> bool:
    """Whether the payer corrects a claim on request. Medicare always does: it takes no replacement claim."""
    said = next(
        (str(line["evidence"]["correction"]) for line in group.lines if "correction" in line["evidence"]),
        None,
    )
    profile = PROFILES.get(clinic.payer_profile)
    kept = said or clinic.correction or (profile.correction if profile else "reopening")
    return kept == "reopening" or patient.optional("payer.filing") == "MB"


def _identifiers(store: Store, tx: Tx, tenant: UUID, patient: UUID, episode: UUID) -> dict[str, Any]:
    row = tx.execute(
        "SELECT identifiers_enc FROM patient WHERE tenant_id = %s AND patient_id = %s", (tenant, patient)
    ).fetchone()
    if row is None or row["identifiers_enc"] is None:
        raise CaseError("the patient has no identifiers on file")
    try:
        filed = enrol.identifiers(store, tx, tenant, patient, row["identifiers_enc"])
    except ErasedError:
        raise CaseError("the patient's data were erased") from None
    return parties.of_episode(filed, str(episode))


def placeholder_envelope(at: datetime) -> Envelope:
    """An envelope that is never sent."""
    return Envelope(
        sender=("ZZ", "X"), receiver=("ZZ", "X"), control=1, group_control=1, at=at, test=True, submitter="X",
        submitter_id="X", contact="X", telephone="0000000000", receiver_name="X", receiver_id="X",
    )  # fmt: skip


def numbered(prepared: Prepared, number: str, controls: Mapping[int, str]) -> Claim:
    """The claim with its number and the control numbers of its new lines (by place)."""
    lines = tuple(
        replace(line, control_number=controls.get(place, line.control_number))
        for place, line in enumerate(prepared.claim.lines)
    )
    return replace(prepared.claim, claim_id=number, lines=lines)
