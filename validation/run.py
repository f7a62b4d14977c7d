"""Score the pipeline against every recording with ground truth and write `docs/validation.md`.

`make validate`. Fails where a figure is worse than the last one by more than its noise; the last figures are
in `validation/last.json`, which a run without a fall writes anew. A fall that is meant is accepted by deleting its
line there and saying why in `NOTES`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from validation import angles, around, repetitions, synthetic
from validation.reliability import draw
from validation.rows import Row, met
from validation.shared_data import NOT_SET, data_dir

from rtm_signal.analysis import PIPELINE_VERSION
from rtm_signal.plot import plot

ROOT = Path(__file__).resolve().parents[1]
LAST = ROOT / "validation" / "last.json"
PAGE = ROOT / "docs" / "validation.md"
PICTURES = ROOT / "docs" / "validation"
RELIABILITY = "reliability.svg"
WORST = 3
SYNTHETIC_SEEDS = (0, 1)
NOISES = 2.0
"""Standard errors by which a figure may fall before it fails."""
UNKNOWN_NOISE = 0.03
"""Share of the figure taken as its standard error where none was computed."""
NOTES = """\
## How to read it

Shares are of sets, medians of trials. No parameter was searched for and none is set by subject or exercise, but a few
thresholds of the counter were chosen by hand while all five shoulder subjects and both therapy subjects were
in view. So the table by subject shows how even the counter is, and is no held-back result. The knee set is
one subject. The simulated body's repetitions are known exactly, tempo, holds and turning points included,
which no public set labels; it is our own model, and says nothing about people that it does not contain.

The calibration of a shoulder set is its own first 3/20 by time, called three repetitions. Its pace is then
exactly a twentieth of the set, whatever the patient did. The counter believes a pace only with even odds and
only where the cycles it saw nearly agree (`docs/explanation/repetitions.md`), yet most of the gain over
`generic` in those sets is owed to this construction; a calibration from another day would gain less.

## What falls short, and what was tried

- **Exact counts of trimmed shoulder sets.** The period is right in every set; what is left is the edges. The label
  is the protocol's number, 20. Of the ten sets that are wrong with a calibration, seven show 19 repetitions, five
  of them from base to base, and three 21. To meet the label in the seven a repetition would have to be made up that
  no sensor saw, which the counter does not do, although the calibration's pace (see above) asks for it. (In two
  sets of 21 it does leave out the shorter outer one for that pace.) Tried: rounding by time (51 of 70 exact without
  a calibration), by turning points reached (49-54 over thresholds from 0.4 to 0.7 of the way), by both together
  (53-56; 55 as it stands: four subjects gain one or two sets, one loses one, and whichever subject is left out, the
  others choose both), a lower threshold for cut repetitions. A preference for round numbers would do better and was
  not tried: it would report the prescription instead of the patient.
- **The simulated body with walking and handling around.** It was taken apart by catalogue entry on seeds 2 to 5,
  which the table does not hold (its seeds are 0 and 1). First a reading half a cycle late was the common cause,
  then walking that outvoted the exercise; next movements of five degrees (quadriceps set), which are now compared
  along their own directions only, and exercises that begin bent, beside whose pauses no way there and back is
  expected any more. With a calibration, seeds 2 to 5, exact counts rose from 97.2 to 98.5 % and F1 from 96.8 to
  98.7 % (472 analyses; the seeds that were looked at, quadriceps sets of 0 and 1 too). What is left: ankle pumps at
  the pace of strides, knee extension seen by the shank alone, where the body's way of sitting down is the exercise
  itself, and stretches held for ten seconds. Tried and left: averaging all movement over a sixteenth of the period
  tried (held stretches and sit to stand lost what the quadriceps set won), to take spans back from walking that do
  not bounce (the body's walking does not either where it is anchored at the foot).
- **An exercise that nobody named, among walking and handling.** The simulated body was counted within one in 83 %
  (one sensor) and 78 % (two) of 348 sessions of seeds 2 to 4 while whole bouts were cut; searching wherever it
  repeats made it 92 and 96 %, and counts off by more than three fell from 9 and 17 % to 1 %. Nothing was tuned on
  the real sets, where it never applies.
- **The live count** of the simulated body with walking and handling around agreed with the offline count within one
  in 62 % of sessions (seed 2, 61 entries), now in 90 % (seed 3: 98 %; seed 4, five quick repetitions each: 87 %);
  the real sets in 98.8 % after 95.3 %. What is left is walking away without a rest, until the next look leaves it
  out.
- **Walking alone** is left out of a generic count by the body's bounce, below the knee by the bounce and the skew
  of the swing (`docs/explanation/repetitions.md`). No recording of real walking was at hand.
- **The knee's clips**, counted with every other clip of the same exercise and side as calibration, are one
  repetition in 99.8 % of 984 (93.3 % before a clip that is movement throughout was taken for one). The two left are
  read as two.
- **Knee angles withheld** rose from 0 to 3.7 % of the samples on purpose: where two readings of how the sensors stand
  fit alike and give different angles, none is said (`docs/explanation/joint-angles.md`). The knee's errors rose by
  0.05 to 0.07 degrees with the estimator that brought the two-axis rig from 5-9 to 1.7 degrees.
- **Exercises counted in time.** Steps on the way to a treadmill used to count as part of it. On other seeds than the
  table's, pedalling at the pace of strides with pauses of seconds in it still loses the part before the pauses.
"""


def main() -> int:
    folder = data_dir()
    if folder is None:
        sys.stderr.write(NOT_SET + "\n")
        return 1
    counted = repetitions.count_all(folder)
    reliability = angles.reliability(folder)
    rows = repetitions.rows_of(counted) + angles.score(folder) + synthetic.score(SYNTHETIC_SEEDS)
    rows += around.score(SYNTHETIC_SEEDS)
    fallen = compare(rows, json.loads(LAST.read_text(encoding="utf-8")) if LAST.is_file() else {})
    PICTURES.mkdir(parents=True, exist_ok=True)
    pictures = _pictures(counted)
    draw(reliability, PICTURES / RELIABILITY)
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
    worst = sorted((c for c in counted if c.off), key=lambda c: (abs(c.off), c.one.key, c.calibrated))
    one_each = {c.one.key: c for c in worst}
    worst = sorted(one_each.values(), key=lambda c: (-abs(c.off), c.one.key))
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
    lines += ["## Reliability of the stated angle intervals", ""]
    lines += [f"![share of samples inside intervals of each stated share](validation/{RELIABILITY})", ""]
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
