"""Check an audit file without the server: `python -m rtm_billing.audit_check ZIP [--json]`.

Every byte is what it was when the file was made; every counted day has its recordings and raw data; the audit
entries of the line carry the hashes they say; the rules, run again on the case in the file, give what it says.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import CaseError
from .evaluate import evaluate
from .rules import RULES_VERSION
from .sealed_zip import MANIFEST, unpack


def check(packed: bytes) -> dict[str, Any]:
    """`{"ok", "files", "fingerprint", "faults": [str], "notes": [str]}`. fingerprint: SHA-256 of the zip."""
    fingerprint = hashlib.sha256(packed).hexdigest()
    report: dict[str, Any] = {"ok": False, "files": 0, "fingerprint": fingerprint, "faults": [], "notes": []}
    try:
        files = unpack(packed)
        report["files"] = len(files)
        json.loads(files[MANIFEST])
        record = {
            name.removesuffix(".json"): json.loads(content)
            for name, content in files.items()
            if name.endswith(".json") and "/" not in name
        }
        report["faults"] = [*_days(record), *_chain(record["audit_chain"])]
        faults, report["notes"] = _rules(record)
        report["faults"] += faults
    except CaseError as problem:
        report["faults"] = [str(problem)]
    except (ValueError, KeyError, TypeError, IndexError) as problem:
        report["faults"] = [f"the file is not an audit file of ours: {type(problem).__name__}"]
    report["ok"] = not report["faults"]
    return report


def _days(record: Mapping[str, Any]) -> Iterable[str]:
    """Every day the line counts has a counted recording, and every counted recording its raw chunks."""
    with_chunks = {each["recording"] for each in record["chunks"]}
    shown: dict[str, list[Mapping[str, Any]]] = {}
    for each in record["data_days"]:
        if each["counted"]:
            shown.setdefault(each["day"], []).append(each)
    for day in record["line"]["evidence"].get("data_days") or ():
        if day not in shown:
            yield f"{day} is counted, but no recording of it is in the file"
    for day, recordings in shown.items():
        for each in recordings:
            if each["recording"] not in with_chunks:
                yield f"a counted recording of {day} has no raw data"


def _chain(chain: Mapping[str, Any]) -> Iterable[str]:
    for entry in chain["entries"]:
        parts = (entry[name] for name in ("tenant", "entry", "at", "actor", "action", "subject", "detail"))
        canonical = json.dumps(list(parts), sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(bytes.fromhex(entry["prev"]) + canonical.encode()).hexdigest()
        if digest != entry["hash"]:
            yield f"audit entry {entry['entry']} does not carry its own hash"
        if entry["entry"] > chain["head"]["entry"]:
            yield f"audit entry {entry['entry']} lies behind the head of the chain"


def _rules(record: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    said, line = record["evaluation"], record["line"]
    if said["rules_version"] != RULES_VERSION:
        return [], [f"not run again: the file is of rules {said['rules_version']}, here are {RULES_VERSION}"]
    again = json.loads(json.dumps(evaluate(record["case"]), default=str))
    if again != said:
        return ["the rules, run again on the case, give another answer than the file says"], []
    if not stands(line, said):
        return [], ["the record as it was when the file was made no longer gives the line as it was released"]
    return [], ["the rules, run again on the case, give the line as it was released"]


def stands(line: Mapping[str, Any], evaluation: Mapping[str, Any]) -> bool:
    """Whether an evaluation still gives a released line.

    One that was released with the units in doubt stands in an evaluation as two: without the doubt, and what it adds.
    """
    added = line["evidence"].get("units_in_doubt")
    wanted = {**line, "units": added or line["units"]}
    same = ("code", "units", "modifiers", "service_date", "period", "decision")
    if not any(all(each[name] == wanted[name] for name in same) for each in evaluation["lines"]):
        return False
    whole = sum(
        each["units"]
        for each in evaluation["lines"]
        if (each["code"], each["period"]) == (line["code"], line["period"])
    )
    return added is None or whole == line["units"]


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when nothing was altered, 1 with the first fault."""
    parser = argparse.ArgumentParser(
        prog="python -m rtm_billing.audit_check", description="Check an audit file."
    )
    parser.add_argument("zip", type=Path)
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    options = parser.parse_args(arguments)
    try:
        report = check(options.zip.read_bytes())
    except OSError as error:
        report = {"ok": False, "faults": [f"{options.zip.name} cannot be read: {error.strerror}"]}
    if options.json:
        print(json.dumps(report))
    elif report["ok"]:
        print(f"whole: {report['files']} files, SHA-256 {report['fingerprint']}")
        print(*report["notes"], sep="\n")
    if not report["ok"]:
        print(f"audit_check: {report['faults'][0]}", file=sys.stderr)
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
