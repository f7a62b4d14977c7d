"""The disputed points as settings: a default, the other positions seen, and from when each holds.

A setting is given as a value, or as `[{"from": date, "value": value}, ...]`; before its first date the
default holds. Settings of a reading hold by its date, of a time entry by its date, of a period by its last
day, of the window's anchor by the start of the episode.
"""

import difflib
from collections.abc import Mapping
from datetime import date
from typing import Any

import msgspec

from .errors import CaseError
from .text import short

CHANNELS = ("phone", "video", "in_person", "message")  # voicemail is not contact under any setting
FACTS = "no government text found that settles it; positions of law firms and vendors differ"


class Setting(msgspec.Struct, frozen=True):
    """A disputed point: `values` are the positions seen, the first of them the default."""

    name: str
    values: tuple[object, ...]
    words: str
    source: str = FACTS

    @property
    def default(self) -> object:
        return self.values[0]


SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting(
            "window_anchor", ("first_data", "started", "consent"), "where the first 30-day window begins"
        ),
        Setting("supply_when", ("closed", "threshold"), "when device supply is decided"),
        Setting("supply_date", ("window_end", "threshold"), "date of service of device supply"),
        Setting("setup_date", ("minimum_met", "education"), "date of service of 98975"),
        Setting("management_date", ("month_end", "threshold"), "date of service of management"),
        Setting("day_zone", ("patient", "clinic"), "whose midnight divides data days"),
        Setting("day_basis", ("measured", "received"), "which time dates a reading"),
        Setting(
            "contact_channels",
            (("phone", "video", "in_person"), CHANNELS),
            "what is a live two-way contact",
            "phone and audio-video: CMS; in person and messages disputed",
        ),
        Setting(
            "late_entry_days",
            (7,),
            "a time entry made more days than this after its end is held",
            "our own proposal; reviewers ask for entries made at the time of the work",
        ),
        Setting("no_data_month", ("hold", "bill"), "management minutes in a month without a data day"),
        Setting("clinic_recordings", ("ignore", "count"), "recordings made in the clinic as data days"),
        Setting(
            "access_days",
            ("ignore", "count"),
            "days the app was only opened as data days",
            "some vendors count them; an audit risk",
        ),
        Setting("month_split", ("split", "start"), "an entry over the end of a month"),
        Setting(
            "timed_units",
            ("cms", "ama"),
            "units of in-clinic timed services: the day's total, or each service alone",
            "CMS claims processing manual chapter 5 section 20.2; AMA midpoint for many commercial payers",
        ),
        Setting(
            "correction",
            ("reopening", "replacement"),
            "how a claim already adjudicated is corrected; unset, the payer profile says",
            "Medicare: clerical-error reopening (medium confidence); commercial: frequency code 7",
        ),
    )
}
_NAMES = {"late_entry_days": "a whole number of days from 0 to 3660"}


def settings_table() -> list[dict[str, object]]:
    """One row a setting, JSON-ready: `name`, `default`, `values`, `what`, `source`."""
    return [
        {
            "name": setting.name,
            "default": _plain(setting.default),
            "values": [_NAMES[setting.name]]
            if setting.name in _NAMES
            else [_plain(value) for value in setting.values],
            "what": setting.words,
            "source": setting.source,
        }
        for setting in SETTINGS.values()
    ]


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


class Settings:
    """The values of one case. `Settings({})` is all defaults."""

    __slots__ = ("_dated", "_fixed", "given")

    def __init__(self, given: Mapping[str, object]) -> None:
        self.given = frozenset(given)
        self._fixed: dict[str, object] = {name: setting.default for name, setting in SETTINGS.items()}
        self._dated: dict[str, list[tuple[date, object]]] = {}
        for name, value in given.items():
            if name not in SETTINGS:
                near = difflib.get_close_matches(str(name), SETTINGS, cutoff=0.4)
                hint = f"; nearest: {', '.join(near)}" if near else ""
                raise CaseError(f"settings.{short(name)[1:-1]}: is not a setting{hint}")
            if isinstance(value, (list, tuple)) and any(isinstance(item, Mapping) for item in value):
                self._dated[name] = _dated(name, list(value))
            else:
                self._fixed[name] = _checked(f"settings.{name}", SETTINGS[name], value)

    def at(self, name: str, on: date) -> Any:
        """The value in force on a date: of the kind its setting has, checked when it was read."""
        for start, value in self._dated.get(name, ()):
            if start <= on:
                return value
        return self._fixed[name]

    def text(self, name: str, on: date) -> str:
        """The value in force of a setting that is one word."""
        value: str = self.at(name, on)
        return value

    def number(self, name: str, on: date) -> int:
        """The value in force of a setting that is a whole number."""
        value: int = self.at(name, on)
        return value

    def channels(self, on: date) -> tuple[str, ...]:
        """The channels that are live contact."""
        value: tuple[str, ...] = self.at("contact_channels", on)
        return value

    def shown(self, names: tuple[str, ...], on: date) -> dict[str, object]:
        """Name to value in force, JSON-ready, for a line's evidence."""
        return {name: _plain(self.at(name, on)) for name in names}


def _dated(name: str, items: list[object]) -> list[tuple[date, object]]:
    dated: dict[date, object] = {}
    for index, item in enumerate(items):
        field = f"settings.{name}[{index}]"
        if not isinstance(item, Mapping) or set(item) != {"from", "value"}:
            raise CaseError(f'{field}: must be an object with "from" and "value"')
        try:
            start = msgspec.convert(item["from"], type=date | None) or date.min
        except msgspec.ValidationError as problem:
            raise CaseError(f"{field}.from: {short(item['from'])} is not a date") from problem
        dated[start] = _checked(f"{field}.value", SETTINGS[name], item["value"])
    if len(dated) < len(items):
        raise CaseError(f"settings.{name}: two values begin on the same date")
    return [(start, dated[start]) for start in sorted(dated, reverse=True)]


def _checked(field: str, setting: Setting, value: object) -> object:
    if setting.name == "late_entry_days":
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 3660:
            return value
        raise CaseError(f"{field}: {short(value)} is not {_NAMES[setting.name]}")
    if setting.name == "contact_channels":
        if isinstance(value, (list, tuple)) and all(
            isinstance(item, str) and item in CHANNELS for item in value
        ):
            return tuple(channel for channel in CHANNELS if channel in value)
        raise CaseError(f"{field}: {short(value)} is not a list of {', '.join(CHANNELS)}")
    if isinstance(value, str) and value in setting.values:
        return value
    raise CaseError(f"{field}: {short(value)} is not one of {', '.join(map(str, setting.values))}")
