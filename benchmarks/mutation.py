"""How many small mistakes in the billing code the tests see: mutmut's mutants of the rules, or of all of it.

    make mutation                        the rule code (goal 95 % killed), about ten minutes of one core
    make mutation ARGS=--all             the whole of rtm_billing
    make mutation ARGS="--only supply"   one module
    make mutation ARGS="--sample 260"    as many drawn at random
    make mutation ARGS=--again           the functions of the last run that had a survivor, as they are now
    make mutation ARGS=--show            what the survivors of the last run change

Needs mutmut 3.8 beside the project's environment, which `make mutation` sees to. Works on a copy in
`.homestretch/mutation`. mutmut changes what functions do; the data they read is bent by
`tests/rtm_billing/test_billing_rule_table.py`.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections import Counter
from importlib.util import find_spec

from benchmarks.mutation_copy import BENCH, PACKAGE, changes, function_of, make
from benchmarks.mutation_loop import run

RULE_CODE = (
    "candidate", "checks", "context", "dates", "evaluate", "forecast", "ledger_days", "ledger_time", "management",
    "modifiers", "payers", "providers", "rules", "settings", "setup_code", "spans", "supply", "visits",
)  # fmt: skip
GOAL = 0.95
VERDICTS = BENCH / "verdicts.json"
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


def kept() -> dict[str, str]:
    """The verdicts of the last run."""
    found: dict[str, str] = json.loads(VERDICTS.read_text()) if VERDICTS.exists() else {}
    return found


def survivors(verdicts: dict[str, str]) -> list[str]:
    """The mutants that no test saw."""
    return [mutant for mutant, verdict in verdicts.items() if verdict in ("survived", "no test")]


def try_all(mutants: list[str], verdicts: dict[str, str]) -> None:
    """Try mutants and keep what became of them, as it comes."""

    def tell(mutant: str, verdict: str) -> None:
        verdicts[mutant] = verdict
        if verdict in ("survived", "no test") or len(verdicts) % 50 == 0:
            VERDICTS.write_text(json.dumps(verdicts, indent=0))

    run(mutants, tell)
    VERDICTS.write_text(json.dumps(verdicts, indent=0))


def main(arguments: list[str]) -> int:
    """Mutate, test, report; 1 where fewer than 95 % were killed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--all", action="store_true", help="every module, not the rule code alone")
    parser.add_argument("--only", metavar="MODULE", help="one module of rtm_billing")
    parser.add_argument("--sample", type=int, metavar="N", help="N mutants drawn at random")
    parser.add_argument("--seed", type=int, default=1, help="of the draw")
    parser.add_argument("--again", action="store_true", help="only functions that had a survivor")
    parser.add_argument("--show", action="store_true", help="print the survivors of the last run")
    options = parser.parse_args(arguments)
    if options.show:
        for mutant, change in changes(survivors(kept())):
            print(f"{mutant}\n{change}\n")
        return 0
    everything = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem not in ("__init__", "page"))
    modules = (options.only,) if options.only else tuple(everything) if options.all else RULE_CODE
    unknown = sorted(set(modules) - set(everything))
    if unknown:
        print(f"mutation: rtm_billing has no module {unknown[0]}", file=sys.stderr)
        return 2
    if find_spec("mutmut") is None:
        print("mutation: mutmut is not installed; `make mutation` sees to it", file=sys.stderr)
        return 2
    before = kept()
    VERDICTS.unlink(missing_ok=True)
    mutants = make(modules)
    verdicts: dict[str, str] = {}
    if options.again:
        had = {function_of(mutant) for mutant in survivors(before)}
        verdicts = {mutant: verdict for mutant, verdict in before.items() if function_of(mutant) not in had}
        mutants = [mutant for mutant in mutants if function_of(mutant) in had]
    if options.sample is not None:
        mutants = random.Random(options.seed).sample(mutants, min(options.sample, len(mutants)))  # noqa: S311  # no secret
    try_all(mutants, verdicts)
    return 0 if report(verdicts, drawn=options.sample is not None) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
