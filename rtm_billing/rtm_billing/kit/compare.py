"""Whether an answer to a worked case is right: lines exactly, the rest where the case names it."""

from collections.abc import Mapping
from typing import Any

LINE = ("code", "units", "service_date", "decision")


def differences(expected: Mapping[str, Any], answer: Mapping[str, Any]) -> list[str]:
    """One sentence a difference; empty when the answer is right.

    `lines` must agree exactly in code, units, service date, decision, modifiers (any order) and `replaces`.
    Every entry of `not_billable` and `open` must be found, by the keys it names. `error`: it is refused.
    """
    if "error" in expected:
        return [] if "error" in answer else ["a refusal was expected"]
    if "error" in answer:
        return [f"refused: {answer['error']}"]
    wanted = sorted(map(_line, expected["lines"]))
    given = sorted(map(_line, answer["lines"]))
    found = [f"line missing: {' '.join(line)}" for line in wanted if line not in given]
    found += [f"line too many: {' '.join(line)}" for line in given if line not in wanted]
    if not found and len(wanted) != len(given):
        found.append("the same line is given twice")
    for part in ("not_billable", "open"):
        for entry in expected.get(part, ()):
            if not any(_has(candidate, entry) for candidate in answer[part]):
                found.append(f"{part} lacks {entry}")
    return found


def _line(line: Mapping[str, Any]) -> tuple[str, ...]:
    modifiers = ",".join(sorted(line.get("modifiers", ())))
    return (*(str(line[name]) for name in LINE), modifiers, str(line.get("replaces", "")))


def _has(candidate: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    """Whether every named key agrees; `why` as a part of the sentence."""
    return all(
        str(value) in str(candidate.get(key)) if key == "why" else candidate.get(key) == value
        for key, value in entry.items()
    )
