"""Strict decoding of a case: one sentence that names the field, before any rule looks at it."""

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from math import isfinite

import msgspec

from .case import Case, Datum, OtherService, Range, Service, TimeEntry
from .dates import FIRST_YEAR, LAST_YEAR, zone
from .errors import CaseError
from .sentences import sentence
from .settings import Settings
from .text import short

MOST_DOLLARS = 10**9
LONGEST_ENTRY = timedelta(days=31)
DEEPEST = 8  # levels of a case with room to spare: what is nested deeper is not read again
_TO_THE_MINUTE = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d)(Z|z|[+-]\d\d:?\d\d)")


def decode_case(raw: object) -> tuple[Case, Settings]:
    """The typed case and its settings; `CaseError` with one sentence otherwise."""
    if not isinstance(raw, Mapping):
        raise CaseError("case: must be an object")
    try:
        case = _convert(raw)
    except UnicodeError:
        raise CaseError("case: holds text with half a character in it (a lone surrogate)") from None
    except (msgspec.ValidationError, RecursionError, OverflowError) as problem:
        raise CaseError(sentence(str(problem), raw)) from None
    settings = Settings(case.settings)
    _check_episode(case)
    _check_data(case.data)
    _check_management(case.management)
    _check_rest(case)
    return case, settings


def _convert(raw: object) -> Case:
    """ISO 8601 lets a time end at the minute, RFC 3339 and so the decoder do not: read again with seconds."""
    try:
        return msgspec.convert(raw, type=Case, strict=True)
    except msgspec.ValidationError:
        return msgspec.convert(_with_seconds(raw), type=Case, strict=True)


def _with_seconds(value: object, levels: int = DEEPEST) -> object:
    if isinstance(value, str):
        found = _TO_THE_MINUTE.fullmatch(value)
        return f"{found[1]}:00{found[2]}" if found else value
    if levels and isinstance(value, Mapping):
        return {key: _with_seconds(part, levels - 1) for key, part in value.items()}
    if levels and isinstance(value, list | tuple):
        return [_with_seconds(part, levels - 1) for part in value]
    return value


def _zone(field: str, name: str) -> None:
    try:
        zone(name)
    except ValueError:
        raise CaseError(f"{field}: {short(name)} is not a time zone name") from None


def _year(field: str, on: date | datetime | None) -> None:
    if on is not None and not FIRST_YEAR <= on.year <= LAST_YEAR:
        raise CaseError(f"{field}: {on.isoformat()} is not between {FIRST_YEAR} and {LAST_YEAR}")


def _range(field: str, item: Range | OtherService) -> None:
    _year(f"{field}.from", item.from_)
    _year(f"{field}.to", item.to)
    if item.from_ and item.to and item.to < item.from_:
        raise CaseError(f"{field}.to: {item.to} is before its from, {item.from_}")


def _check_episode(case: Case) -> None:
    _year("as_of", case.as_of)
    _zone("practice.timezone", case.practice.timezone)
    if case.patient.timezone is not None:
        _zone("patient.timezone", case.patient.timezone)
    episode = case.episode
    _year("episode.started", episode.started)
    _year("episode.discharged", episode.discharged)
    if episode.discharged and episode.discharged < episode.started:
        raise CaseError(
            f"episode.discharged: {episode.discharged} is before the episode started, {episode.started}"
        )
    for name, ranges in (("consent", episode.consent), ("plan_of_care", episode.plan_of_care)):
        for index, item in enumerate(ranges):
            _range(f"episode.{name}[{index}]", item)
    if episode.setup is not None:
        _year("episode.setup.on", episode.setup.on)
        if not 0 <= episode.setup.assistant_share <= 1:
            raise CaseError(
                f"episode.setup.assistant_share: {episode.setup.assistant_share} is not between 0 and 1"
            )


def _check_data(data: list[Datum]) -> None:
    for index, item in enumerate(data):
        if (item.at is None) == (item.on is None):
            raise CaseError(f"data[{index}]: needs either at (a date-time with offset) or on (a local date)")
        for name, on in (("at", item.at), ("on", item.on), ("received_at", item.received_at)):
            if on is not None and not FIRST_YEAR <= on.year <= LAST_YEAR:
                _year(f"data[{index}].{name}", on)
        if item.zone is not None:
            _zone(f"data[{index}].zone", item.zone)


def _check_management(management: list[TimeEntry]) -> None:
    for index, item in enumerate(management):
        for name, at in (("start", item.start), ("end", item.end), ("entered_at", item.entered_at)):
            if at is not None and not FIRST_YEAR <= at.year <= LAST_YEAR:
                _year(f"management[{index}].{name}", at)
        if item.end < item.start:
            raise CaseError(f"management[{index}].end: {item.end.isoformat()} is before its start")
        if item.end - item.start > LONGEST_ENTRY:
            raise CaseError(
                f"management[{index}].end: {item.end.isoformat()} is more than 31 days after its start"
            )


def _check_rest(case: Case) -> None:
    for index, visit in enumerate(case.visits):
        field = f"visits[{index}]"
        for name, on in (("on", visit.on), ("start", visit.start), ("end", visit.end)):
            _year(f"{field}.{name}", on)
        if (visit.start is None) != (visit.end is None):
            raise CaseError(f"{field}: needs both start and end, or neither")
        if visit.start and visit.end and visit.end < visit.start:
            raise CaseError(f"{field}.end: {visit.end.isoformat()} is before its start")
        for number, service in enumerate(visit.services):
            _check_minutes(f"{field}.services[{number}]", service)
    for index, spend in enumerate(case.therapy_spend):
        _year(f"therapy_spend[{index}].on", spend.on)
        # compared, never computed with: abs() of 1E+999999999 overflows
        if not spend.amount.is_finite() or not -MOST_DOLLARS <= spend.amount <= MOST_DOLLARS:
            shown = str(spend.amount)[:40]
            raise CaseError(f"therapy_spend[{index}].amount: {shown} is not an amount in decimal digits")
    for index, other in enumerate(case.other_services):
        _range(f"other_services[{index}]", other)
        if other.kind == "code" and other.code is None:
            raise CaseError(f"other_services[{index}].code: is missing")
    for index, sent in enumerate(case.claims_sent):
        _year(f"claims_sent[{index}].service_date", sent.service_date)


def _check_minutes(field: str, service: Service) -> None:
    for name, minutes in (("minutes", service.minutes), ("assistant_minutes", service.assistant_minutes)):
        if (isinstance(minutes, float) and not isfinite(minutes)) or not 0 <= minutes <= 1440:
            raise CaseError(f"{field}.{name}: {short(minutes)} is not between 0 and 1440 minutes")
    if service.assistant_minutes > service.minutes:
        raise CaseError(f"{field}.assistant_minutes: {service.assistant_minutes} is more than its minutes")
