"""How many small mistakes in the billing code the tests see: mutmut's mutants of the rules, or of all of it.

    make mutation                        the rule code (goal 95 % killed), a quarter to half an hour
    make mutation ARGS=--all             the whole of rtm_billing
    make mutation ARGS="--only supply x12"
    make mutation ARGS="--sample 260"    as many drawn at random
    make mutation ARGS=--again           of the last run's functions those that had a survivor or were changed
    make mutation ARGS=--show            what the survivors of the last run change

Needs mutmut 3.8 beside the project's environment, which `make mutation` sees to. Works on a copy in
`.homestretch/mutation`. mutmut changes what functions do; the data they read is bent by
`tests/rtm_billing/test_billing_rule_table.py`.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections import Counter
from importlib.util import find_spec

import msgspec
from benchmarks.mutation_copy import BENCH, PACKAGE, changes, function_of, make
from benchmarks.mutation_loop import run

RULE_CODE = (
    "candidate", "checks", "context", "dates", "evaluate", "forecast", "ledger_days", "ledger_time", "management",
    "modifiers", "payers", "providers", "rules", "settings", "setup_code", "spans", "supply", "visits",
)  # fmt: skip
GOAL = 0.95
KEPT = BENCH / "last_run.json"
COLUMNS = ("killed", "out of time", "survived", "no test")


def interval(killed: int, tried: int) -> tuple[float, float]:
    """The 95 % interval of a share by Wilson (1927), for mutants drawn at random."""
    z2 = 1.96**2
    middle = (killed + z2 / 2) / (tried + z2)
    half = math.sqrt(z2 * (killed * (tried - killed) / tried + z2 / 4)) / (tried + z2)
    return middle - half, middle + half


def report(verdicts: dict[str, str], *, drawn: bool) -> bool:
    """Print what became of each module's mutants; whether the goal is reached."""
    print(f"| module | {' | '.join(COLUMNS)} |\n|{'---|' * (1 + len(COLUMNS))}")
    by_module: dict[str, Counter[str]] = {}
    for mutant, verdict in verdicts.items():
        by_module.setdefault(mutant.split(".")[1], Counter())[verdict] += 1
    for module, found in sorted(by_module.items()):
        print(f"| {module} | {' | '.join(str(found[column]) for column in COLUMNS)} |")
    total = sum(by_module.values(), Counter[str]())
    seen, tried = total["killed"] + total["out of time"], total.total()  # one that never ends is seen
    print(f"{seen} of {tried} mutants killed: {100 * seen / max(tried, 1):.1f} % (goal {100 * GOAL:.0f})")
    if drawn and tried:
        low, high = interval(seen, tried)
        print(f"drawn at random: of all of them {100 * low:.1f} to {100 * high:.1f} % (95 % interval)")
    return seen >= GOAL * tried


class Run(msgspec.Struct):
    """What is kept of a run: each mutant's verdict, and of each function a hash of its text."""

    verdicts: dict[str, str] = {}
    functions: dict[str, str] = {}

    def survivors(self) -> list[str]:
        """The mutants that no test saw."""
        return [mutant for mutant, verdict in self.verdicts.items() if verdict in ("survived", "no test")]

    def save(self) -> None:
        KEPT.write_bytes(msgspec.json.format(msgspec.json.encode(self)))


def last_run() -> Run:
    """The run before, empty where there was none."""
    return msgspec.json.decode(KEPT.read_bytes(), type=Run) if KEPT.exists() else Run()


def try_all(mutants: list[str], this: Run) -> None:
    """Try mutants and keep what became of them, as it comes."""

    def tell(mutant: str, verdict: str) -> None:
        this.verdicts[mutant] = verdict
        if verdict in ("survived", "no test") or len(this.verdicts) % 50 == 0:
            this.save()

    run(mutants, tell)
    this.save()


def main(arguments: list[str]) -> int:
    """Mutate, test, report; 1 where fewer than 95 % were killed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--all", action="store_true", help="every module, not the rule code alone")
    parser.add_argument("--only", metavar="MODULE", nargs="+", help="these modules of rtm_billing")
    parser.add_argument("--sample", type=int, metavar="N", help="N mutants drawn at random")
    parser.add_argument("--seed", type=int, default=1, help="of the draw")
    parser.add_argument(
        "--again", action="store_true", help="only functions that had a survivor or were changed"
    )
    parser.add_argument("--show", action="store_true", help="print the survivors of the last run")
    options = parser.parse_args(arguments)
    if options.show:
        for mutant, change in changes(last_run().survivors()):
            print(f"{mutant}\n{change}\n")
        return 0
    everything = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem not in ("__init__", "page"))
    modules = tuple(options.only) if options.only else tuple(everything) if options.all else RULE_CODE
    unknown = sorted(set(modules) - set(everything))
    if unknown:
        print(f"mutation: rtm_billing has no module {unknown[0]}", file=sys.stderr)
        return 2
    if find_spec("mutmut") is None:
        print("mutation: mutmut is not installed; `make mutation` sees to it", file=sys.stderr)
        return 2
    before = last_run()
    KEPT.unlink(missing_ok=True)
    mutants, functions = make(modules)
    this = Run({}, functions)
    if options.again:
        anew = {function_of(mutant) for mutant in before.survivors()}
        anew |= {name for name, digest in functions.items() if before.functions.get(name) != digest}
        this.verdicts = {
            mutant: before.verdicts[mutant]
            for mutant in mutants
            if mutant in before.verdicts and function_of(mutant) not in anew
        }
        mutants = [mutant for mutant in mutants if mutant not in this.verdicts]
    if options.sample is not None:
        mutants = random.Random(options.seed).sample(mutants, min(options.sample, len(mutants)))  # noqa: S311  # no secret
    try_all(mutants, this)
    return 0 if report(this.verdicts, drawn=options.sample is not None) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
