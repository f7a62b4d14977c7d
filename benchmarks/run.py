"""`make bench`: runs every benchmark of this folder, one after the other, and prints one table of their goals.

    python -m benchmarks.run              all of them
    python -m benchmarks.run clock radio  some of them

What a benchmark prints is shown as it comes; a line that begins with `goal` goes into the table. Figures are for
comparing within one run on one machine: this never fails because something is slow, only because it does not run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
NOT_BENCHMARKS = frozenset({"run", "torture", "mutation", "__init__"})


@dataclass(frozen=True, slots=True)
class Result:
    """One benchmark: its exit code, seconds of the wall, and its lines that state a goal."""

    name: str
    code: int
    seconds: float
    goals: tuple[str, ...]


def benchmarks() -> list[str]:
    """The names of all benchmarks: the modules of this folder but for those that run others or take hours."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in NOT_BENCHMARKS)


def run(name: str) -> Result:
    """Run one in a process of its own, so that none warms another's caches."""
    began = time.monotonic()
    goals = []
    with subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{name}"], cwd=FOLDER.parent, stdout=subprocess.PIPE, text=True
    ) as process:
        if process.stdout is not None:
            for line in process.stdout:
                print(f"    {line}", end="", flush=True)
                if line.lstrip().lower().startswith("goal"):
                    goals.append(line.strip())
    return Result(name, process.returncode, time.monotonic() - began, tuple(goals))


def table(results: Iterable[Result]) -> str:
    """One line a goal; a benchmark without goals has one line too."""
    lines = [f"{'benchmark':14}{'s':>7}  result"]
    for result in results:
        says = result.goals if result.code == 0 else (f"FAILED with exit code {result.code}",)
        for place, said in enumerate(says or ("runs; states no goal",)):
            first = (result.name, f"{result.seconds:.0f}") if place == 0 else ("", "")
            lines.append(f"{first[0]:14}{first[1]:>7}  {said}")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """1 where a benchmark does not run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(benchmarks()))
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(benchmarks()))
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]}; there are {', '.join(benchmarks())}")
    results = []
    for name in options.names or benchmarks():
        print(f"{name}:", flush=True)
        results.append(run(name))
    print(f"\n{table(results)}")
    return 1 if any(result.code for result in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
