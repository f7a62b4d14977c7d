"""Every worked case, and the runner that holds other products against them."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from rtm_billing import CaseError, evaluate
from rtm_billing.kit import WORKED, Worked, differences
from rtm_billing.kit.__main__ import main

ANSWERS = Path(__file__).with_name("answers.jsonl")


@pytest.mark.parametrize("worked", WORKED, ids=lambda worked: worked.name)
def test_worked_case(worked: Worked) -> None:
    try:
        answer: dict[str, Any] = evaluate(worked.case)
    except CaseError as problem:
        answer = {"error": str(problem)}
    assert differences(worked.expect, answer) == [], worked.says
    json.dumps(answer, allow_nan=False)


def test_a_past_case_gives_what_it_gave() -> None:
    """Every word of every answer, as kept in `answers.jsonl`.

    After a change of the rules that is meant, `python -m rtm_billing.kit --answers` writes the file again, and the
    difference shows what the change changed.
    """
    kept = dict(json.loads(line) for line in ANSWERS.read_text().splitlines())
    assert set(kept) == {worked.name for worked in WORKED}
    for worked in WORKED:
        try:
            answer: dict[str, Any] = evaluate(worked.case)
        except CaseError as problem:
            answer = {"error": str(problem)}
        assert json.loads(json.dumps(answer)) == kept[worked.name], worked.name


def test_names_are_unique() -> None:
    assert len({worked.name for worked in WORKED}) == len(WORKED)


def test_evaluating_does_not_change_the_case() -> None:
    worked = WORKED[0]
    before = json.dumps(worked.case)
    evaluate(worked.case)
    assert json.dumps(worked.case) == before


def test_the_runner_asks_our_engine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out.strip() == f"{len(WORKED)} of {len(WORKED)} worked cases right"


def test_the_runner_writes_cases(tmp_path: Path) -> None:
    assert main(["--write", str(tmp_path)]) == 0
    assert len(list(tmp_path.glob("*.case.json"))) == len(WORKED)
    assert json.loads((tmp_path / "supply-16.expect.json").read_text())["lines"][0]["code"] == "98977"


def test_the_runner_finds_a_product_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: a product that never bills, one that prints no JSON."""
    monkeypatch.setattr("rtm_billing.kit.__main__.WORKED", WORKED[:2])
    product = tmp_path / "product.py"
    product.write_text('print(\'{"lines": [], "not_billable": [], "open": []}\')')
    assert main(["--command", shlex.join([sys.executable, str(product), "{case}"])]) == 1
    assert "0 of 2 worked cases right" in capsys.readouterr().out
    product.write_text("print('no')")
    assert main(["--command", shlex.join([sys.executable, str(product), "{case}"])]) == 1
    assert "no JSON" in capsys.readouterr().out


def test_differences_sees_each_kind() -> None:
    expected = {
        "lines": [{"code": "A", "units": 1, "service_date": "d", "decision": "bill", "modifiers": ["x", "y"]}]
    }
    right = {"lines": [{**expected["lines"][0], "modifiers": ["y", "x"]}], "not_billable": [], "open": []}
    assert differences(expected, right) == []
    changes: list[dict[str, Any]] = [
        {"units": 2},
        {"decision": "hold"},
        {"modifiers": []},
        {"replaces": "A1"},
        {"code": "B"},
    ]
    for change in changes:
        assert differences(expected, {**right, "lines": [{**right["lines"][0], **change}]})
    assert differences(expected, {**right, "lines": right["lines"] * 2})
    assert differences({**expected, "open": [{"have": 1}]}, right)
    assert differences({"error": True}, right)
    assert differences(expected, {"error": "no"})
