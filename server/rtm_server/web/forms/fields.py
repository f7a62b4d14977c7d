"""Fields of a form as data, and the three things done with them: show, check, merge."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rtm_server.web.errors import InvalidError
from rtm_server.web.forms.checks import Check, Value, text

Filed = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One field. path: where the value lies in the JSON, steps apart by dots; it is the field's name in the form.

    needed: a claim cannot go without it. choices: (value, words) of a selection; none is a text field.
    """

    path: str
    label: str
    check: Check = text
    hint: str = ""
    needed: bool = False
    choices: tuple[tuple[str, str], ...] = ()
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class Group:
    """Fields that belong together."""

    title: str
    fields: tuple[Field, ...]
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Typed:
    """A form as typed: values that may be kept by path (None: emptied), and by path what to mend."""

    values: Mapping[str, Value | None]
    problems: Mapping[str, str]


def fields(groups: Sequence[Group]) -> Iterator[Field]:
    """All of them in order."""
    for group in groups:
        yield from group.fields


def shown(groups: Sequence[Group], filed: Filed) -> dict[str, str]:
    """What stands in each field."""
    return {field.path: _shown(_at(filed, field.path)) for field in fields(groups)}


def lacking(groups: Sequence[Group], filed: Filed) -> list[Field]:
    """Needed fields that are empty."""
    values = shown(groups, filed)
    return [field for field in fields(groups) if field.needed and not values[field.path]]


def check(groups: Sequence[Group], form: Mapping[str, str]) -> Typed:
    """Check each field of the form; InvalidError for a field that is not one of ours."""
    known = {field.path: field for field in fields(groups)}
    if not set(form) <= set(known):
        raise InvalidError
    values: dict[str, Value | None] = {}
    problems: dict[str, str] = {}
    for path, typed in form.items():
        plain = " ".join(typed.split())
        try:
            values[path] = known[path].check(plain) if plain else None
        except ValueError as problem:
            problems[path] = str(problem)
    return Typed(values, problems)


def merged(filed: Filed, values: Mapping[str, Value | None]) -> dict[str, Any]:
    """What is on file with these values in it; an emptied value goes, whatever has no field here stays."""
    made: dict[str, Any] = copy.deepcopy(dict(filed))
    for path, value in values.items():
        _put(made, path.split("."), value)
    return made


def changed(groups: Sequence[Group], before: Filed, after: Filed) -> list[str]:
    """Paths whose value is another."""
    old, new = shown(groups, before), shown(groups, after)
    return [path for path in old if old[path] != new[path]]


def fingerprint(filed: Filed) -> str:
    """Names a state of what is on file, so that nobody overwrites what they have not seen."""
    return hashlib.sha256(json.dumps(filed, sort_keys=True).encode()).hexdigest()[:16]


def _at(filed: Filed, path: str) -> Any:
    found: Any = filed
    for step in path.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(str(each) for each in value)
    return "" if value is None else str(value)


def _put(into: dict[str, Any], steps: Sequence[str], value: Value | None) -> None:
    """Set or remove; a part that has become empty goes with it."""
    first, *rest = steps
    if not rest:
        if value is None:
            into.pop(first, None)
        else:
            into[first] = value
        return
    below = into.get(first)
    part = dict(below) if isinstance(below, Mapping) else {}
    _put(part, rest, value)
    if part:
        into[first] = part
    else:
        into.pop(first, None)
