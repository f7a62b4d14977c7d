"""How many small mistakes in the billing code the tests see: mutmut over the rules, or over all of it.

    make mutation                        the rule code (goal 95 % killed)
    make mutation ARGS=--all             the whole of rtm_billing
    make mutation ARGS="--only supply"   one module
    make mutation ARGS="--sample 260"    of those left untried, as many drawn at random

Needs mutmut 3.8 beside the project's environment, which `make mutation` sees to. Works on a copy in
`.homestretch/mutation`; what is there is gone on with, so an interrupted run is not lost. mutmut changes what
functions do; the data they read is bent by `tests/rtm_billing/test_billing_rule_table.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

HOUSE = Path(__file__).parents[1]
BENCH = HOUSE / ".homestretch" / "mutation"
RULE_CODE = (
    "candidate", "checks", "context", "dates", "evaluate", "forecast", "ledger_days", "ledger_time", "management",
    "modifiers", "payers", "providers", "rules", "settings", "setup_code", "spans", "supply", "visits",
)  # fmt: skip
# Slow ones, and one that looks for the docs; the second parser and the validator judge text that a golden test holds.
LEFT_OUT = ("test_billing_docs.py", "test_billing_second_parser.py", "test_billing_properties.py")
NOT_ASKED = "not bent and not junk and not pyx12"
OUTCOMES = {
    0: "survived",
    1: "killed",
    3: "killed",
    24: "out of time",
    -24: "out of time",
    33: "no test",
    36: "out of time",
}


def prepare(modules: tuple[str, ...]) -> None:
    """The package, its tests and mutmut's settings in a folder of their own."""
    for name, source in (
        ("rtm_billing", HOUSE / "rtm_billing" / "rtm_billing"),
        ("tests/rtm_billing", HOUSE / "tests" / "rtm_billing"),
    ):
        shutil.rmtree(BENCH / name, ignore_errors=True)
        shutil.copytree(
            source, BENCH / name, ignore=shutil.ignore_patterns("__pycache__", *LEFT_OUT), dirs_exist_ok=True
        )
    wanted = ", ".join(f'"rtm_billing/{module}.py"' for module in modules)
    (BENCH / "pyproject.toml").write_text(
        f"""[tool.mutmut]
source_paths = ["rtm_billing"]
only_mutate = [{wanted}]
pytest_add_cli_args = ["--import-mode=importlib", "-p", "no:cacheprovider", "-k", "{NOT_ASKED}"]
pytest_add_cli_args_test_selection = ["tests/rtm_billing"]
[tool.pytest.ini_options]
timeout = 300
"""
    )


def drawn(modules: tuple[str, ...], number: int, seed: int) -> list[str]:
    """Names of mutants not tried yet, drawn at random; empty before a first run has made them."""
    names: list[str] = []
    for module in modules:
        meta = BENCH / "mutants" / "rtm_billing" / f"{module}.py.meta"
        if meta.exists():
            codes = json.loads(meta.read_text())["exit_code_by_key"]
            names += [name for name, code in codes.items() if code is None]
    return random.Random(seed).sample(sorted(names), min(number, len(names)))  # noqa: S311  # no secret


def report(modules: tuple[str, ...]) -> float:
    """Print what became of each module's mutants; the share killed of those that were tried."""
    total: Counter[str] = Counter()
    print("| module | killed | survived | no test | not tried |\n|---|---|---|---|---|")
    for module in modules:
        meta = BENCH / "mutants" / "rtm_billing" / f"{module}.py.meta"
        codes = json.loads(meta.read_text())["exit_code_by_key"].values() if meta.exists() else []
        found = Counter("not tried" if code is None else OUTCOMES.get(code, "killed") for code in codes)
        found["killed"] += found.pop("out of time", 0)  # a mutant that never ends is seen
        total += found
        print(
            f"| {module} | {found['killed']} | {found['survived']} | {found['no test']} | {found['not tried']} |"
        )
    tried = total["killed"] + total["survived"] + total["no test"]
    share = total["killed"] / tried if tried else 0.0
    print(
        f"{total['killed']} of {tried} mutants killed: {100 * share:.1f} % ({total['not tried']} not tried)"
    )
    return share


def main(arguments: list[str]) -> int:
    """Mutate, test, report; 1 where fewer than 95 % were killed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--all", action="store_true", help="every module, not the rule code alone")
    parser.add_argument("--only", metavar="MODULE", help="one module of rtm_billing")
    parser.add_argument(
        "--sample", type=int, metavar="N", help="N mutants of those an earlier run left untried"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--report", action="store_true", help="only print what an earlier run found")
    options = parser.parse_args(arguments)
    everything = sorted(path.stem for path in (HOUSE / "rtm_billing" / "rtm_billing").glob("*.py"))
    chosen = (options.only,) if options.only else tuple(everything) if options.all else RULE_CODE
    modules = tuple(module for module in chosen if module not in ("__init__", "page"))
    unknown = sorted(set(modules) - set(everything))
    if unknown:
        print(f"mutation: rtm_billing has no module {unknown[0]}", file=sys.stderr)
        return 2
    if not options.report:
        if find_spec("mutmut") is None:
            print("mutation: mutmut is not installed; `make mutation` sees to it", file=sys.stderr)
            return 1
        names = [] if options.sample is None else drawn(modules, options.sample, options.seed)
        if options.sample is not None and not names:
            print("mutation: no mutant is left untried; begin a run without --sample first", file=sys.stderr)
            return 1
        prepare(modules)
        command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(options.processes), *names]
        subprocess.run(command, cwd=BENCH, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False)
    return 0 if report(modules) >= 0.95 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
