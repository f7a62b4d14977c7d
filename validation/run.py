"""Score the pipeline against every recording with ground truth and write `docs/validation.md`.

`make validate`. Fails where a figure is worse than the last one by more than its noise; the last figures are
in `validation/last.json`, which a run without a fall writes anew.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from validation import angles, repetitions, synthetic
from validation.rows import Row, met
from validation.shared_data import NOT_SET, data_dir

from rtm_signal.analysis import PIPELINE_VERSION
from rtm_signal.plot import plot

ROOT = Path(__file__).resolve().parents[1]
LAST = ROOT / "validation" / "last.json"
PAGE = ROOT / "docs" / "validation.md"
PICTURES = ROOT / "docs" / "validation"
WORST = 3
SYNTHETIC_SEEDS = (0, 1)
NOISES = 2.0
"""Standard errors by which a figure may fall before it fails."""
UNKNOWN_NOISE = 0.03
"""Share of the figure taken as its standard error where none was computed."""
NOTES = """\
## How to read it

Shares are of sets, medians of trials. Nothing was fitted to single subjects: the constants of the counter are
stated with their reason in the code and were chosen once for all five subjects and all exercises, so
leaving a
subject out leaves them as they are, and the table by subject below is the leave-one-subject-out result. The
knee
set is one subject. The synthetic body is the simulator's: its tempo, holds and turning points are known
exactly, which
no public set labels.

The calibration of a shoulder set is its own first 3/20 by time, called three repetitions. Its pace is then
exactly a
twentieth of the set, whatever the patient did; the counter believes a pace only with even odds and only
where the cycles it saw nearly agree (`docs/explanation/repetitions.md`), yet part of the gain over `generic`
is owed to this construction, and a calibration from another day would gain less.

## What falls short, and what was tried

- **Exact counts of trimmed shoulder sets.** The period is right in every set; what is left is the edges.
The number
  of cycles in a recording cut to "20" is 19.0 to 22.4 (three sets hold 21 to 22 visible cycles), so that
  rounding
  cannot meet the protocol's number. Counting extremes at the edges, a lower rounding threshold for cut
  repetitions and the phase of the calibration's beginning were tried: none was better across subjects.
- **Walking alone.** Beside an exercise, walking is told apart by its pace; a recording of nothing but walking
  is still counted by `generic`.
"""


def main() -> int:
    folder = data_dir()
    if folder is None:
        sys.stderr.write(NOT_SET + "\n")
        return 1
    counted = repetitions.count_all(folder)
    rows = repetitions.rows_of(counted) + angles.score(folder) + synthetic.score(SYNTHETIC_SEEDS)
    fallen = compare(rows, json.loads(LAST.read_text(encoding="utf-8")) if LAST.is_file() else {})
    PICTURES.mkdir(parents=True, exist_ok=True)
    pictures = _pictures(counted)
    PAGE.write_text(_page(rows, counted, pictures), encoding="utf-8")
    for what in fallen:
        sys.stderr.write(f"Worse than last time: {what}\n")
    if fallen:
        return 1
    LAST.write_text(json.dumps({r["what"]: r["figure"] for r in rows}, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}: {sum(met(r) for r in rows)} of {len(rows)} goals met\n")
    return 0


def compare(rows: Sequence[Row], last: dict[str, float]) -> list[str]:
    """The rows that are worse than `last` by more than their noise, in words."""
    fallen = []
    for row in rows:
        if row["what"] not in last:
            continue
        before, sign = last[row["what"]], 1.0 if row["more_is_better"] else -1.0
        noise = NOISES * row.get("noise", UNKNOWN_NOISE * abs(before))
        if sign * (row["figure"] - before) < -max(noise, 1e-9):
            fallen.append(f"{row['what']}: {row['figure']:.2f} after {before:.2f} {row['unit']}")
    return fallen


def _pictures(counted: Sequence[repetitions.Counted]) -> list[tuple[str, str]]:
    """The worst counts as pictures: (caption, file)."""
    worst = sorted((c for c in counted if c.off), key=lambda c: (-abs(c.off), c.one.key, c.calibrated))
    out = []
    for number, case in enumerate(worst[:WORST], 1):
        name = f"worst-count-{number}.svg"
        plot(case.result, PICTURES / name)
        way = "with calibration" if case.calibrated else "generic"
        out.append((f"{case.one.key}, subject {case.one.subject}, {way}: {case.off:+d}", name))
    return out


def _page(
    rows: Sequence[Row],
    counted: Sequence[repetitions.Counted],
    pictures: Sequence[tuple[str, str]],
) -> str:
    lines = [
        "# Accuracy on recordings with ground truth",
        "",
        f"Written by `make validate` (pipeline {PIPELINE_VERSION}). ± is the standard error.",
        "",
        "| what | figure | goal | met | n |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        noise = f" ± {row['noise']:.2g}" if row.get("noise") else ""
        bound = "≥" if row["more_is_better"] else "≤"
        lines.append(
            f"| {row['what']} | {row['figure']:.3g}{noise} {row['unit']} | {bound} {row['goal']:g} "
            f"| {'yes' if met(row) else 'no'} | {row['n']} |"
        )
    lines += ["", NOTES, "## By subject", "", "| set | subject | | sets | exact | within one |"]
    lines.append("|---|---|---|---|---|---|")
    for group, subject, calibrated, n, exact, near in repetitions.by_subject(counted):
        way = "calibrated" if calibrated else "generic"
        lines.append(f"| {group} | {subject} | {way} | {n} | {exact:.0f} % | {near:.0f} % |")
    lines += ["", "## Reliability of the stated count ranges", "", _reliability(counted)]
    lines += ["## The worst counts", ""]
    lines += [f"![{caption}](validation/{name})\n\n{caption}.\n" for caption, name in pictures]
    return "\n".join(lines) + "\n"


def _reliability(counted: Sequence[repetitions.Counted]) -> str:
    """How often the truth lies in ranges of each width."""
    lines = ["| width of the range | sets | hold the truth |", "|---|---|---|"]
    widths = {c.result.repetitions_range[1] - c.result.repetitions_range[0] for c in counted}
    for width in sorted(widths):
        mine = [c for c in counted if c.result.repetitions_range[1] - c.result.repetitions_range[0] == width]
        held = sum(
            c.result.repetitions_range[0] <= c.one.repetitions <= c.result.repetitions_range[1] for c in mine
        )
        lines.append(f"| {width} | {len(mine)} | {100 * held / len(mine):.0f} % |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
