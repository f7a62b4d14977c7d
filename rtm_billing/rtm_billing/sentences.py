"""The decoder's complaint turned into one plain sentence that names the field and shows the value."""

import difflib
import re
from collections.abc import Mapping
from typing import Literal, get_args, get_origin

import msgspec

from .case import Case
from .text import short

_WORDS = {
    "datetime": "a date-time with offset",
    "date": "a date (YYYY-MM-DD)",
    "str": "text",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "int | float": "a number",
    "decimal": "an amount in decimal digits",
    "object": "an object",
    "array": "a list",
}
_PLACE = re.compile(r" - at `(?P<key>key in )?\$(?P<path>.*)`$", re.DOTALL)
_STEP = re.compile(r"([A-Za-z_]+)|\[(\d+)\]")
_UNKNOWN = re.compile(r"unknown field `(.*)`$", re.DOTALL)
_ABSENT = re.compile(r"missing required field `(.*)`$")
_EXPECTED = re.compile(r"Expected `([^`]*?)(?: \| null)?`")
_PATTERNS = (
    ("of length >= 1", "a name (it is empty)"),
    ("matching regex", "a procedure code (five characters)"),
    ("datetime", _WORDS["datetime"]),
    ("encoded date", _WORDS["date"]),
    ("decimal", _WORDS["decimal"]),
)


def sentence(message: str, raw: object, root: type[msgspec.Struct] = Case) -> str:
    """`field: what is wrong`, from msgspec's message and the value that was given."""
    place = _PLACE.search(message)
    path = place["path"].lstrip(".") if place else ""
    what = message[: place.start()] if place else message
    if named := _UNKNOWN.search(what):
        return f"{_join(path, short(named[1])[1:-1])}: is not a known key{_nearest(root, path, named[1])}"
    if named := _ABSENT.search(what):
        return f"{_join(path, named[1])}: is missing"
    if place and place["key"]:
        return f"{path or 'case'}: a key is not text"
    return f"{path or 'case'}: {short(_look_up(raw, path))} is not {_expected(what, root, path)}"


def _expected(what: str, root: type[msgspec.Struct], path: str) -> str:
    if what.startswith("Invalid enum value"):
        return f"one of {', '.join(map(str, get_args(_literal(_type_at(root, path)))))}"
    for part, words in _PATTERNS:
        if part in what:
            return words
    expected = _EXPECTED.search(what)
    return _WORDS.get(expected[1], expected[1]) if expected else f"usable ({what})"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _nearest(root: type[msgspec.Struct], path: str, name: str) -> str:
    struct = _struct_in(_type_at(root, path))
    keys = [field.encode_name for field in msgspec.structs.fields(struct)] if struct else []
    near = difflib.get_close_matches(name, keys, n=3, cutoff=0.4)
    return f"; nearest: {', '.join(near)}" if near else ""


def _type_at(root: type[msgspec.Struct], path: str) -> object:
    """The declared type of the field a path leads to."""
    kind: object = root
    for name, _index in _STEP.findall(path):
        struct = _struct_in(kind)
        if name and struct is not None:
            kind = {field.encode_name: field.type for field in msgspec.structs.fields(struct)}.get(name)
    return kind


def _struct_in(kind: object) -> type[msgspec.Struct] | None:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    return next((found for inner in get_args(kind) if (found := _struct_in(inner)) is not None), None)


def _literal(kind: object) -> object:
    if get_origin(kind) is Literal:
        return kind
    return next((found for inner in get_args(kind) if (found := _literal(inner)) is not None), None)


def _look_up(raw: object, path: str) -> object:
    value = raw
    for name, index in _STEP.findall(path):
        if name and isinstance(value, Mapping):
            value = value.get(name)
        elif index and isinstance(value, (list, tuple)) and int(index) < len(value):
            value = value[int(index)]
    return value
