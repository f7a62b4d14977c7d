"""X12 text: segments from elements, envelopes, and words in the allowed characters.

Delimiters: element `*`, component `:`, repetition `^`, segment `~`. Only the basic character set (capitals,
digits and a few marks) leaves here, plus `@` and `_` of the extended set for mail addresses.
"""

import unicodedata
from collections.abc import Iterable
from datetime import datetime

from .errors import CaseError

ELEMENT, COMPONENT, REPETITION, SEGMENT = "*", ":", "^", "~"
ALLOWED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 !\"&'()+,-./;?=@_")

# letters without a decomposition, and marks with a plain twin
_TWINS = {
    "Æ": "AE", "Œ": "OE", "Ø": "O", "Ł": "L", "Đ": "D", "Ð": "D", "Þ": "TH", "ẞ": "SS", "Ħ": "H", "Ŋ": "NG",
    "Ŧ": "T", "ʻ": "'", "ʼ": "'", "‘": "'", "’": "'", "`": "'", "“": '"', "”": '"', "–": "-", "—": "-",
    "‐": "-", "‑": "-", "*": " ", ":": " ", "^": " ", "~": "-", "|": "/", "\t": " ", "\n": " ", "\r": " ",
    "#": "NO.", "%": "PCT",
}  # fmt: skip


def plain(field: str, words: str, most: int = 80) -> str:
    """`words` in the allowed characters: accents dropped, letters spelled out, delimiters made spaces;
    at most `most` characters, as the element holds.

    A character without a plain twin (another script, an emoji) is refused, by the name of the field: a name
    that is not the patient's must not be sent.
    """
    made = []
    for character in unicodedata.normalize("NFKD", words).upper():
        if character in ALLOWED:
            made.append(character)
        elif character in _TWINS:
            made.append(_TWINS[character])
        elif not unicodedata.combining(character):
            raise CaseError(
                f"{field}: a character has no twin in the X12 character set; give it in plain letters"
            )
    return " ".join("".join(made).split())[:most].rstrip()


def identifier(field: str, text: str, most: int) -> str:
    """An identifier as it is; one that would have to be changed or is too long is refused."""
    if not text or len(text) > most or any(character not in ALLOWED for character in text.upper()):
        raise CaseError(f"{field}: must be 1 to {most} plain characters")
    if text != text.strip():
        raise CaseError(f"{field}: begins or ends with a space")
    return text


def segment(*elements: str) -> str:
    """One segment; empty elements at the end are left out."""
    return ELEMENT.join(elements).rstrip(ELEMENT) + SEGMENT


def composite(*components: str) -> str:
    """Components of one element."""
    return COMPONENT.join(components)


def transaction(kind: str, control: str, version: str, body: Iterable[str]) -> list[str]:
    """ST to SE around a body; SE counts both."""
    segments = [segment("ST", kind, control, version), *body]
    return [*segments, segment("SE", str(len(segments) + 1), control)]


def interchange(
    transactions: list[list[str]],
    *,
    sender: tuple[str, str],
    receiver: tuple[str, str],
    control: int,
    group_control: int,
    group: tuple[str, str],
    at: datetime,
    test: bool,
) -> str:
    """The whole interchange: ISA (106 characters), one group `(id, version)`, its transactions, one a line.

    `sender` and `receiver`: qualifier (2 characters) and id (at most 15); `control` at most 9 digits; `at` as
    the sender's local time.
    """
    if not 0 < control < 10**9 or not 0 < group_control < 10**9:
        raise CaseError("interchange.control: must have 1 to 9 digits")
    for field, (qualifier, name) in (("sender", sender), ("receiver", receiver)):
        identifier(f"interchange.{field}", name, 15)
        if len(qualifier) != 2:
            raise CaseError(f"interchange.{field}: its qualifier must have 2 characters")
    kind, version = group
    date, time, number = f"{at:%Y%m%d}", f"{at:%H%M}", f"{control:09}"
    parties = (sender[0], f"{sender[1]:<15}", receiver[0], f"{receiver[1]:<15}")
    blank, usage = " " * 10, "T" if test else "P"
    isa = ("ISA", "00", blank, "00", blank, *parties, date[2:], time, REPETITION, "00501", number, "0", usage)
    lines = [
        segment(*isa, COMPONENT),
        segment("GS", kind, sender[1], receiver[1], date, time, str(group_control), "X", version),
        *(part for one in transactions for part in one),
        segment("GE", str(len(transactions)), str(group_control)),
        segment("IEA", "1", number),
    ]
    return "\n".join(lines) + "\n"
