"""Reading X12: an interchange as segments of elements, its envelopes checked. What is not whole is refused."""

import re
from collections.abc import Iterator, Sequence

import msgspec

from .errors import CaseError

_ISA_LENGTH = 106
_MOST = 20_000_000  # characters; a remittance of a large practice is a few megabytes


class Segment(msgspec.Struct, frozen=True):
    """A segment: its id, and its elements counted from 1 as the manuals do."""

    name: str
    elements: tuple[str, ...]
    component: str

    def at(self, place: int) -> str:
        """Element `place`, empty when it is not there."""
        return self.elements[place - 1] if place <= len(self.elements) else ""

    def parts(self, place: int) -> tuple[str, ...]:
        """The components of an element."""
        return tuple(self.at(place).split(self.component))


class Transaction(msgspec.Struct, frozen=True):
    """ST to SE, both left out: kind 999, 277, 835, ... and the control number of its interchange."""

    kind: str
    version: str
    interchange: str
    segments: tuple[Segment, ...]


def read(text: str) -> list[Transaction]:
    """The transactions of one or several interchanges. CaseError: one sentence, where and what is wrong."""
    if len(text) > _MOST:
        raise CaseError(f"the file is longer than {_MOST} characters")
    rest = text.strip()
    found: list[Transaction] = []
    if not rest:
        raise CaseError("the file is empty")
    while rest:
        segments, rest = _interchange(rest)
        found += _transactions(segments)
    return found


def _interchange(text: str) -> tuple[list[Segment], str]:
    if not text.startswith("ISA") or len(text) < _ISA_LENGTH:
        raise CaseError("the file does not begin with an ISA segment of 106 characters")
    element, component, end = text[3], text[104], text[105]
    if len({element, component, end}) < 3 or any(each.isalnum() for each in (element, component, end)):
        raise CaseError("the delimiters of the ISA segment cannot be told apart")
    segments: list[Segment] = []
    at = 0
    while at < len(text):
        stop = text.find(end, at)
        if stop < 0:
            raise CaseError(f"the file is cut off in segment {len(segments) + 1}")
        name, *elements = text[at:stop].strip("\r\n").split(element)
        if not re.fullmatch(r"[A-Z][A-Z0-9]{1,2}", name):
            raise CaseError(f"segment {len(segments) + 1} has no name")
        segments.append(Segment(name, tuple(elements), component))
        at = stop + 1
        if name == "IEA":
            break
    head, tail = segments[0], segments[-1]
    if tail.name != "IEA" or head.at(13).strip() != tail.at(2).strip():
        raise CaseError("the interchange does not end with the control number it began with")
    groups = sum(segment.name == "GS" for segment in segments)
    acknowledged = all(segment.name in ("ISA", "TA1", "IEA") for segment in segments)
    if tail.at(1) != str(groups) and not (acknowledged and tail.at(1) in ("", "0")):
        raise CaseError("the interchange does not hold as many groups as it says")
    return segments, text[at:].lstrip()


def _transactions(segments: Sequence[Segment]) -> Iterator[Transaction]:
    interchange = segments[0].at(13).strip()
    envelope = [segment for segment in segments if segment.name == "TA1"]
    if envelope:
        yield Transaction("TA1", "", interchange, tuple(envelope))
    group: Segment | None = None
    sets, start = 0, -1
    for place, segment in enumerate(segments):
        if segment.name == "GS":
            if group is not None:
                raise CaseError("a group begins before the one before it ended")
            group, sets = segment, 0
        elif segment.name == "ST":
            if start >= 0 or group is None:
                raise CaseError(f"transaction {segment.at(2)} begins outside its place")
            start, sets = place, sets + 1
        elif segment.name == "SE":
            if start < 0 or segments[start].at(2) != segment.at(2) or segment.at(1) != str(place - start + 1):
                raise CaseError(f"transaction {segment.at(2)} does not hold what its end says")
            head = segments[start]
            version = head.at(3) or (group.at(8) if group else "")
            yield Transaction(head.at(1), version, interchange, tuple(segments[start + 1 : place]))
            start = -1
        elif segment.name == "GE":
            if group is None or start >= 0 or (segment.at(1), segment.at(2)) != (str(sets), group.at(6)):
                raise CaseError("a group does not end as it began")
            group = None
    if group is not None or start >= 0:
        raise CaseError("a group or transaction has no end")
