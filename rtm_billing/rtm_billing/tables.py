"""Tables that CMS publishes, read from lines handed in: NCCI procedure pairs, MUE values, the fee schedule.

None is built in: they change every quarter. Loaders take an iterable of lines (the tab or comma separated
text of the published files) and find columns by the header: preambles and column order do not matter.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation

import msgspec

from .errors import CaseError
from .text import short

_CODE = re.compile(r"[0-9A-Z][0-9]{3}[0-9A-Z]")


class Pair(msgspec.Struct, frozen=True):
    """A procedure-to-procedure edit: `second` is not paid beside `first`; `modifier`: one can allow it."""

    first: str
    second: str
    start: date
    end: date | None
    modifier: bool

    def holds_on(self, on: date) -> bool:
        return self.start <= on and (self.end is None or on <= self.end)


class Edits(msgspec.Struct, frozen=True):
    """Loaded edits; empty by default, so nothing is held that was not loaded."""

    pairs: tuple[Pair, ...] = ()
    most_units: Mapping[str, int] = {}

    def conflict(self, first: str, second: str, on: date) -> Pair | None:
        """The edit between two codes of one date, whichever way round."""
        codes = {first, second}
        return next(
            (pair for pair in self.pairs if {pair.first, pair.second} == codes and pair.holds_on(on)), None
        )


NO_EDITS = Edits()


class Fee(msgspec.Struct, frozen=True):
    """Expected payment of a code (never the charge): US dollars outside a facility."""

    code: str
    modifier: str
    locality: str
    amount: Decimal


def load_pairs(lines: Iterable[str]) -> tuple[Pair, ...]:
    """NCCI PTP edits: Column 1, Column 2, effective date, deletion date (`*` = none), modifier 0, 1 or 9."""
    pairs = []
    for number, row in _rows(lines, ("column1", "column2", "effective", "deletion", "modifier")):
        first, second, start, end, modifier = row
        if not _CODE.fullmatch(first) or not _CODE.fullmatch(second):
            continue
        if modifier[:1] == "9":  # the edit was withdrawn
            continue
        pairs.append(Pair(first, second, _date(start, number), _open_date(end, number), modifier[:1] == "1"))
    return tuple(pairs)


def load_most_units(lines: Iterable[str]) -> dict[str, int]:
    """MUE values: code and most units a day (or a line) by the published practitioner table."""
    values = {}
    for number, (code, value) in _rows(lines, ("code", "mue")):
        if _CODE.fullmatch(code):
            if not value.isdigit():
                raise CaseError(f"MUE table line {number}: {short(value)} is not a whole number")
            values[code] = int(value)
    return values


def load_fees(lines: Iterable[str]) -> dict[tuple[str, str, str], Fee]:
    """The CMS carrier file (headerless: year, carrier, locality, code, modifier, non-facility amount, ...).

    Keyed by (carrier and locality, code, modifier).
    """
    fees = {}
    for number, row in enumerate(csv.reader(lines), start=1):
        cells = [cell.strip() for cell in row]
        if len(cells) < 6 or not re.fullmatch(r"[0-9]{4}", cells[0]) or not _CODE.fullmatch(cells[3]):
            continue
        try:
            amount = Decimal(cells[5])
        except InvalidOperation:
            raise CaseError(f"fee file line {number}: {short(cells[5])} is not an amount") from None
        locality = cells[1] + cells[2]
        fees[locality, cells[3], cells[4]] = Fee(cells[3], cells[4], locality, amount)
    return fees


# national, non-facility, 2026, for the demo's estimates only; load the CMS file for money
DEMO_FEES_2026: dict[str, Decimal] = {
    "98975": Decimal("21.71"),
    "98977": Decimal("40.08"),
    "98979": Decimal("26.39"),
    "98980": Decimal("54.11"),
    "98981": Decimal("41"),
    "98985": Decimal("40.08"),
}

_HEADS = {
    "column1": re.compile(r"column *1", re.IGNORECASE),
    "column2": re.compile(r"column *2", re.IGNORECASE),
    "effective": re.compile(r"effective", re.IGNORECASE),
    "deletion": re.compile(r"deletion", re.IGNORECASE),
    "modifier": re.compile(r"^modifier", re.IGNORECASE),
    "code": re.compile(r"hcpcs|cpt", re.IGNORECASE),
    "mue": re.compile(r"mue values?", re.IGNORECASE),
}


def _rows(lines: Iterable[str], names: tuple[str, ...]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The named columns of every row below the header, with line numbers."""
    places: list[int] | None = None
    for number, line in enumerate(lines, start=1):
        row = next(csv.reader([line], delimiter="\t" if "\t" in line else ","))
        cells = [" ".join(cell.split()) for cell in row]
        if places is None:
            found = [
                next((i for i, cell in enumerate(cells) if _HEADS[name].search(cell)), -1) for name in names
            ]
            places = found if -1 not in found else None
        elif len(cells) > max(places):
            yield number, tuple(cells[place] for place in places)
    if places is None:
        raise CaseError(f"table: no header with the columns {', '.join(names)}")


def _date(text: str, number: int) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise CaseError(f"NCCI table line {number}: {short(text)} is not a date (YYYYMMDD)") from None


def _open_date(text: str, number: int) -> date | None:
    return None if text in ("*", "") else _date(text, number)
