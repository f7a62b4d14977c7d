"""Words for sentences: values shown short, numbers with their noun."""

from collections.abc import Mapping


def short(value: object) -> str:
    """A value as it may stand in a sentence: at most 60 characters, containers by their kind."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, (list, tuple)) and not (len(value) < 8 and all(isinstance(v, str) for v in value)):
        return "a list"
    if isinstance(value, int) and abs(value) > 10**20:
        return "a number of more than 20 digits"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def counted(number: int, unit: str) -> str:
    """`1 data day`, `12 minutes`: a number with its noun."""
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
