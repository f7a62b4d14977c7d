"""The 837P, 005010X222A1, of claims whose patient is the subscriber: pure text from typed values.

Our own reading of which segments an RTM claim needs; no text of the licensed implementation guide. The same
claims and envelope give the same bytes.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal

from .claim import Address, BillingProvider, Claim, ClaimLine, Envelope, PayerName, Provider, Subscriber
from .claim_checks import problems
from .errors import CaseError
from .x12 import composite, identifier, interchange, plain, segment, transaction

VERSION = "005010X222A1"


def write_837p(claims: Sequence[Claim], envelope: Envelope) -> str:
    """One interchange with one transaction; `CaseError` names the first problem of the first bad claim."""
    if not claims:
        raise CaseError("claims: there is none to write")
    seen: set[str] = set()
    for claim in claims:
        found = problems(claim, today=envelope.at.date())
        if found:
            raise CaseError(f"claim {claim.claim_id}: {found[0]}")
        if claim.claim_id in seen:
            raise CaseError(f"claim {claim.claim_id}: is given twice")
        seen.add(claim.claim_id)
    body = [*_header(envelope), *_hierarchy(claims)]
    control = f"{envelope.transaction_control:04}"
    return interchange(
        [transaction("837", control, VERSION, body)],
        sender=envelope.sender,
        receiver=envelope.receiver,
        control=envelope.control,
        group_control=envelope.group_control,
        group=("HC", VERSION),
        at=envelope.at,
        test=envelope.test,
    )


def _header(envelope: Envelope) -> Iterable[str]:
    at = envelope.at
    yield segment("BHT", "0019", "00", f"{envelope.control:09}", f"{at:%Y%m%d}", f"{at:%H%M%S}", "CH")
    submitter = plain("submitter", envelope.submitter, 60)
    submitter_id = identifier("submitter_id", envelope.submitter_id, 80)
    yield segment("NM1", "41", "2", submitter, "", "", "", "", "46", submitter_id)
    telephone = "".join(character for character in envelope.telephone if character.isdigit())
    if len(telephone) != 10:
        raise CaseError("telephone: must have 10 digits")
    yield segment("PER", "IC", plain("contact", envelope.contact, 60), "TE", telephone)
    receiver_id = identifier("receiver_id", envelope.receiver_id, 80)
    receiver = plain("receiver_name", envelope.receiver_name, 60)
    yield segment("NM1", "40", "2", receiver, "", "", "", "", "46", receiver_id)


def _hierarchy(claims: Sequence[Claim]) -> Iterable[str]:
    """Billing provider, below it each of its patients, below each their claims, in order of appearance."""
    tree: dict[BillingProvider, dict[tuple[Subscriber, PayerName], list[Claim]]] = {}
    for claim in claims:
        tree.setdefault(claim.billing, {}).setdefault((claim.subscriber, claim.payer), []).append(claim)
    level = 0
    for billing, patients in tree.items():
        level += 1
        parent = level
        yield segment("HL", str(level), "", "20", "1")
        yield from _billing(billing)
        for (subscriber, payer), own in patients.items():
            level += 1
            yield segment("HL", str(level), str(parent), "22", "0")
            yield from _subscriber(subscriber, payer)
            for claim in own:
                yield from _claim(claim)


def _billing(billing: BillingProvider) -> Iterable[str]:
    if billing.taxonomy:
        yield segment("PRV", "BI", "PXC", identifier("billing.taxonomy", billing.taxonomy, 10))
    yield segment(
        "NM1", "85", "2", plain("billing.name", billing.name, 60), "", "", "", "", "XX", billing.npi
    )
    yield from _address("billing.address", billing.address)
    yield segment("REF", "EI", billing.tax_id)


def _address(field: str, address: Address) -> Iterable[str]:
    yield segment("N3", plain(field, address.street, 55), plain(field, address.more, 55))
    city = plain(field, address.city, 30)
    yield segment("N4", city, address.state, address.zip_code.replace("-", ""))


def _subscriber(subscriber: Subscriber, payer: PayerName) -> Iterable[str]:
    yield segment("SBR", "P", "18", "", "", "", "", "", "", identifier("payer.filing", payer.filing, 2))
    last, first = (
        plain("subscriber.last", subscriber.last, 60),
        plain("subscriber.first", subscriber.first, 35),
    )
    middle = plain("subscriber.middle", subscriber.middle, 25)
    member = identifier("subscriber.member_id", subscriber.member_id, 80)
    yield segment("NM1", "IL", "1", last, first, middle, "", "", "MI", member)
    yield from _address("subscriber.address", subscriber.address)
    yield segment("DMG", "D8", _date(subscriber.born), subscriber.sex)
    payer_id = identifier("payer.payer_id", payer.payer_id, 80)
    yield segment("NM1", "PR", "2", plain("payer.name", payer.name, 60), "", "", "", "", "PI", payer_id)


def _claim(claim: Claim) -> Iterable[str]:
    place = composite(claim.place, "B", claim.frequency)
    claim_id = identifier("claim_id", claim.claim_id, 20)
    yield segment("CLM", claim_id, _money(claim.total), "", "", place, "Y", "A", "Y", "Y")
    for qualifier, field, text in (
        ("G1", "prior_authorization", claim.prior_authorization),
        ("F8", "payer_control_number", claim.payer_control_number if claim.frequency != "1" else ""),
        ("EA", "medical_record", claim.medical_record),
    ):
        if text:
            yield segment("REF", qualifier, identifier(field, text, 50))
    if claim.note:
        yield segment("NTE", "ADD", plain("note", claim.note, 80))
    codes = [code.replace(".", "") for code in claim.diagnoses]
    yield segment("HI", *(composite("ABF" if number else "ABK", code) for number, code in enumerate(codes)))
    for entity, provider in (("DN", claim.referring), ("82", claim.rendering), ("DQ", claim.supervising)):
        if provider is not None and not (entity == "82" and provider.npi == claim.billing.npi):
            yield from _provider(entity, provider)
    for number, line in enumerate(claim.lines, start=1):
        yield from _line(number, line)


def _provider(entity: str, provider: Provider) -> Iterable[str]:
    last, first = plain("provider.last", provider.last, 60), plain("provider.first", provider.first, 35)
    yield segment("NM1", entity, "1", last, first, "", "", "", "XX", provider.npi)
    if entity == "82" and provider.taxonomy:
        yield segment("PRV", "PE", "PXC", identifier("rendering.taxonomy", provider.taxonomy, 10))


def _line(number: int, line: ClaimLine) -> Iterable[str]:
    yield segment("LX", str(number))
    procedure = composite("HC", line.code, *line.modifiers)
    pointers = composite(*map(str, line.pointers))
    yield segment("SV1", procedure, _money(line.charge), "UN", str(line.units), "", "", pointers)
    if line.last_date is None or line.last_date == line.service_date:
        yield segment("DTP", "472", "D8", _date(line.service_date))
    else:
        yield segment("DTP", "472", "RD8", f"{_date(line.service_date)}-{_date(line.last_date)}")
    yield segment("REF", "6R", identifier("line.control_number", line.control_number, 30))


def _date(on: date) -> str:
    return f"{on:%Y%m%d}"


def _money(amount: Decimal) -> str:
    """No trailing zeros, no exponent: 40.10 is 40.1."""
    text = f"{amount:.2f}"
    return text.rstrip("0").rstrip(".")
