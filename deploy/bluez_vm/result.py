"""What a stage found, as a line on the guest's console."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

_MARK = "bluez-vm-result: "
_VERSIONS = "bluez-vm-versions: "


@dataclass(frozen=True, slots=True)
class Result:
    """One stage: its name, whether it held, and what was measured, in words."""

    stage: str
    ok: bool
    figure: str

    def line(self) -> str:
        """For the console."""
        return _MARK + json.dumps(asdict(self))


def versions_line(versions: dict[str, str]) -> str:
    """Versions by name, for the console."""
    return _VERSIONS + json.dumps(versions)


def read(console: list[str]) -> tuple[list[Result], dict[str, str]]:
    """Results and versions of a console's lines; lines of others are passed over."""
    results: list[Result] = []
    versions: dict[str, str] = {}
    for line in console:
        if _MARK in line:
            results.append(Result(**json.loads(line.partition(_MARK)[2])))
        elif _VERSIONS in line:
            versions |= json.loads(line.partition(_VERSIONS)[2])
    return results, versions


def table(results: list[Result]) -> str:
    """Markdown: stage, result, figure."""
    rows = [("stage", "result", "figure"), ("---", "---", "---")]
    rows += [(each.stage, "holds" if each.ok else "**fails**", each.figure) for each in results]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
