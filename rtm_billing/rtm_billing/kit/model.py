"""What a worked case is."""

from typing import Any, NamedTuple


class Worked(NamedTuple):
    """A case, the sentence it stands for, and what must come out."""

    name: str
    says: str
    case: dict[str, Any]
    expect: dict[str, Any]
