"""Hold a product against the worked cases: `python -m rtm_billing.kit [--command "rtm bill {case} --json"]`.

Without `--command` the engine of this package is asked. With it, every case is written to a file, `{case}`
stands for its path, and the command must print the answer as JSON. `--write DIR` only writes the cases.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rtm_billing import CaseError, evaluate

from . import WORKED, Worked, differences

Answer = Callable[[Worked], dict[str, Any]]


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every case comes out right, 1 when one does not."""
    parser = argparse.ArgumentParser(
        prog="python -m rtm_billing.kit", description="Worked RTM billing cases."
    )
    parser.add_argument("--command", help="the product: a command with {case} where the file's path goes")
    parser.add_argument("--write", type=Path, metavar="DIR", help="write the cases as JSON and stop")
    parser.add_argument(
        "--answers", type=Path, metavar="FILE", help="write this engine's answers, one a line, and stop"
    )
    options = parser.parse_args(arguments)
    if options.write is not None:
        write(options.write)
        return 0
    if options.answers is not None:
        options.answers.write_text("".join(f"{json.dumps([w.name, _ours(w)])}\n" for w in WORKED))
        return 0
    if options.command is None:
        return run(_ours)
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        return run(lambda worked: _theirs(options.command, Path(folder) / f"{worked.name}.case.json"))


def write(folder: Path) -> None:
    """Two files a case: `NAME.case.json` for the product, `NAME.expect.json` with the answer."""
    folder.mkdir(parents=True, exist_ok=True)
    for worked in WORKED:
        (folder / f"{worked.name}.case.json").write_text(json.dumps(worked.case, indent=1) + "\n")
        expect = {"says": worked.says, **worked.expect}
        (folder / f"{worked.name}.expect.json").write_text(json.dumps(expect, indent=1) + "\n")


def run(answer: Answer) -> int:
    """Ask for every case and print the wrong ones and the count."""
    wrong = 0
    for worked in WORKED:
        found = differences(worked.expect, answer(worked))
        if found:
            wrong += 1
            print(f"{worked.name}: {worked.says}")
            for sentence in found:
                print(f"  {sentence}")
    print(f"{len(WORKED) - wrong} of {len(WORKED)} worked cases right")
    return 1 if wrong else 0


def _ours(worked: Worked) -> dict[str, Any]:
    try:
        return evaluate(worked.case)
    except CaseError as problem:
        return {"error": str(problem)}


def _theirs(command: str, path: Path) -> dict[str, Any]:
    words = [word.replace("{case}", str(path)) for word in shlex.split(command)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603  # the user's own command
    try:
        answer = json.loads(done.stdout)
    except json.JSONDecodeError:
        return {"error": f"no JSON on standard output (exit {done.returncode})"}
    return answer if isinstance(answer, dict) else {"error": "the answer is not an object"}


if __name__ == "__main__":
    sys.exit(main())
