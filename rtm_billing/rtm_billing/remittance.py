"""What payers answer, as typed values: 999 (was the file taken), 277CA (was the claim taken), 835 (what is paid).

Only what moves a claim is read: numbers, states, amounts, reasons.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Literal

import msgspec

from .answer_words import TAKEN, adjustment, provider_adjustment, remark, status
from .errors import CaseError
from .x12_read import Segment, Transaction, read

Kind = Literal["TA1", "999", "277", "835"]
Verdict = Literal["noted", "accepted", "rejected", "paid", "denied"]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer says about an interchange, a claim or some of its lines.

    interchange: our group's number (999) or interchange's (TA1). claim: our CLM01. line: our REF*6R. Of these the most
    particular that is given is meant; none: about the practice as a whole (PLB). payer_control: the payer's own
    number of the claim. reference: what a provider's adjustment refers to, often a claim. words: one sentence.
    """

    verdict: Verdict
    words: str
    interchange: int | None = None
    claim: str = ""
    line: str = ""
    payer_control: str = ""
    reference: str = ""

    @property
    def of_the_practice(self) -> bool:
        """Whether it is about the practice as a whole, not about a claim or file of ours."""
        return self.interchange is None and not self.claim and not self.line


class Response(msgspec.Struct, frozen=True):
    """A file of a payer: its kind and what it says, in its order."""

    kind: Kind
    answers: tuple[Answer, ...]


def read_response(text: str) -> Response:
    """Read a TA1, 999, 277CA or 835. CaseError: a sentence, when it is none or is not whole."""
    transactions = read(text)
    kinds = {each.kind for each in transactions if each.kind != "TA1"} or {"TA1"}
    if len(kinds) > 1:
        raise CaseError("the file holds answers of different kinds")
    answers: list[Answer] = []
    for each in transactions:
        if each.kind == "TA1":
            answers += _envelope(each.segments)
        elif each.kind == "999":
            answers += _taken(each.segments)
        elif each.kind == "277":
            if each.version and not each.version.startswith("005010X214"):
                raise CaseError("the 277 is not a claim acknowledgement (005010X214)")
            answers += _claims(each.segments)
        elif each.kind == "835":
            answers += _payments(each)
        else:
            raise CaseError("the file is no TA1, 999, 277CA or 835")
    kind = next(iter(kinds))
    return Response(msgspec.convert(kind, Kind), tuple(answers))


def _envelope(segments: Sequence[Segment]) -> Iterable[Answer]:
    for segment in segments:
        words = {"A": "accepted", "E": "accepted, with errors noted"}.get(segment.at(4))
        yield Answer(
            verdict="noted" if words else "rejected",
            words=f"TA1: the interchange was {words or 'rejected'} (note {segment.at(5) or 'none'})",
            interchange=_number("TA1-01", segment.at(1)),
        )


def _taken(segments: Sequence[Segment]) -> Iterable[Answer]:
    """A 999: of the group as a whole; our groups hold one transaction set."""
    group: int | None = None
    noted: list[str] = []
    for segment in segments:
        if segment.name == "AK1":
            group = _number("AK1-02", segment.at(2))
        elif segment.name == "IK3":
            noted.append(f"segment {segment.at(1)} at {segment.at(2)}: error {segment.at(4) or 'below'}")
        elif segment.name == "IK4":
            noted.append(f"its element {segment.at(1)}: error {segment.at(3)}")
        elif segment.name == "AK9":
            if group is None:
                raise CaseError("the 999 does not say which group it is about")
            said = segment.at(1)
            if said not in TAKEN:
                raise CaseError("the 999 does not say whether the group was accepted")
            detail = f" ({'; '.join(noted[:5])})" if noted else ""
            yield Answer(
                verdict="noted" if said in "AEP" else "rejected",
                words=f"999: the file was {TAKEN[said]}{detail}",
                interchange=group,
            )


def _claims(segments: Sequence[Segment]) -> Iterable[Answer]:
    """A 277CA: each claim (HL level PT) by its own number, its states, the payer's number; lines where they differ."""
    for loop in _split(segments, "HL"):
        if loop[0].at(3) != "PT":
            continue
        head = _until(loop[1:], "SVC")
        claim = next((each.at(2) for each in head if each.name == "TRN" and each.at(1) == "2"), "")
        if not claim:
            raise CaseError("a claim of the 277CA has no number")
        control = next((each.at(2) for each in head if each.name == "REF" and each.at(1) == "1K"), "")
        yield from _states(head, claim, "", control)
        for line in _split(loop[1:], "SVC"):
            number = next((each.at(2) for each in line if each.name == "REF" and each.at(1) == "FJ"), "")
            if number:
                yield from _states(line, claim, number, control)


def _states(segments: Iterable[Segment], claim: str, line: str, control: str) -> Iterable[Answer]:
    for segment in segments:
        if segment.name == "STC":
            category, code = (*segment.parts(1), "", "")[:2]
            rejected = category in ("A3", "A4", "A6", "A7", "A8")
            verdict: Verdict = "rejected" if rejected else "accepted" if category in ("A2", "A5") else "noted"
            # A line's own acceptance is the claim's; its rejection is the line's.
            if line and verdict != "rejected":
                continue
            yield Answer(
                verdict=verdict,
                words=f"277CA: {status(category, code)}",
                claim=claim,
                line=line,
                payer_control=control,
            )


def _payments(transaction: Transaction) -> Iterable[Answer]:
    """An 835: each claim (CLP), each line (SVC) with what was paid and why not more."""
    for segment in transaction.segments:
        if segment.name == "PLB":
            yield from _of_the_provider(segment)
    for loop in _split(_until(transaction.segments, "PLB"), "CLP"):
        head = loop[0]
        claim, said, control = head.at(1), head.at(2), head.at(7)
        if not claim:
            raise CaseError("a claim of the 835 has no number")
        about = _until(loop[1:], "SVC")
        adjusted = [*_adjustments(about), *_remarks(about)]
        lines = _split(loop[1:], "SVC")
        if said == "22":
            yield _paid(
                claim, "", control, Decimal(0), ("835: the payer took back its earlier payment", *adjusted)
            )
            continue
        if not lines:
            amount = _money("CLP04", head.at(4))
            yield _paid(
                claim, "", control, amount, (f"835: {amount:.2f} paid", *adjusted), denied=said == "4"
            )
        for line in lines:
            amount = _money("SVC03", line[0].at(3))
            number = next((each.at(2) for each in line if each.name == "REF" and each.at(1) == "6R"), "")
            if not number:
                raise CaseError(f"a line of claim {claim} in the 835 has no control number (REF 6R)")
            words = (
                f"835: {amount:.2f} of {_money('SVC02', line[0].at(2)):.2f} paid",
                *adjusted,
                *_adjustments(line),
                *_remarks(line),
            )
            # Nothing paid because the patient owes it (deductible) is still paid in full by the plan's rules.
            owed = any(each.name == "CAS" and each.at(1) == "PR" for each in line)
            yield _paid(
                claim, number, control, amount, words, denied=said == "4" or (amount <= 0 and not owed)
            )


def _paid(
    claim: str, line: str, control: str, amount: Decimal, words: Sequence[str], *, denied: bool | None = None
) -> Answer:
    lost = amount <= 0 if denied is None else denied
    return Answer(
        verdict="denied" if lost else "paid",
        words="; ".join(words),
        claim=claim,
        line=line,
        payer_control=control,
    )


def _adjustments(segments: Iterable[Segment]) -> list[str]:
    """CAS: a group and up to six times reason, amount, quantity."""
    found = []
    for segment in segments:
        if segment.name == "CAS":
            for place in range(2, len(segment.elements) + 1, 3):
                if segment.at(place):
                    amount = _money("CAS", segment.at(place + 1))
                    found.append(adjustment(segment.at(1), segment.at(place), f"{amount:.2f}"))
    return found


def _remarks(segments: Iterable[Segment]) -> list[str]:
    """Remark codes: of a line (LQ*HE), of a professional claim (MOA03 to MOA07)."""
    codes = []
    for segment in segments:
        if segment.name == "LQ" and segment.at(1) == "HE":
            codes.append(segment.at(2))
        elif segment.name == "MOA":
            codes += [segment.at(place) for place in range(3, 8)]
    return [remark(code) for code in dict.fromkeys(codes) if code]


def _of_the_provider(segment: Segment) -> Iterable[Answer]:
    """PLB: money besides the claims, up to six times reason (with a reference) and amount; it moves no line."""
    for place in range(3, len(segment.elements) + 1, 2):
        if segment.at(place):
            reason, reference = (*segment.parts(place), "")[:2]
            amount = _money("PLB", segment.at(place + 1))
            yield Answer(
                verdict="noted", words=f"835: {provider_adjustment(reason, amount)}", reference=reference
            )


def _split(segments: Sequence[Segment], name: str) -> list[list[Segment]]:
    """Loops that begin with a segment of this name; what comes before the first is left out."""
    loops: list[list[Segment]] = []
    for segment in segments:
        if segment.name == name:
            loops.append([segment])
        elif loops:
            loops[-1].append(segment)
    return loops


def _until(segments: Sequence[Segment], name: str) -> list[Segment]:
    found = []
    for segment in segments:
        if segment.name == name:
            break
        found.append(segment)
    return found


def _money(field: str, text: str) -> Decimal:
    try:
        amount = Decimal(text or "0")
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or abs(amount) >= Decimal(10) ** 12:
        raise CaseError(f"{field}: {text[:20]!r} is not an amount")
    return amount


def _number(field: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise CaseError(f"{field}: {text[:20]!r} is not a control number")
    return int(text)
