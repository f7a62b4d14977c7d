"""The command line as scripts use it: exit status, one JSON document, one plain sentence, never a traceback."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rtm_firmware_sim import body
from rtm_signal.catalogue import EXERCISES
from rtm_signal.recording_file import write_recording

COMMANDS = (
    "demo", "serve", "ingest", "worker", "gateway", "simulate", "analyze", "bill", "exercises", "export", "migrate",
    "doctor", "verify",
)  # fmt: skip
CASE = {
    "as_of": "2026-05-05",
    "practice": {"timezone": "America/New_York"},
    "payer": {"profile": "medicare"},
    "patient": {"timezone": "America/New_York"},
    "episode": {
        "started": "2026-03-02",
        "organ_system": "musculoskeletal",
        "discipline": "PT",
        "therapist_billed": True,
        "consent": [{"from": "2026-03-01", "to": None}],
        "plan_of_care": [{"from": "2026-03-01", "to": "2026-06-01"}],
        "device_basis": True,
    },
    "data": [{"on": f"2026-03-{day:02d}"} for day in range(2, 18)],
}


@dataclass(frozen=True)
class Run:
    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


def rtm(*arguments: str, environment: dict[str, str] | None = None) -> Run:
    done = subprocess.run(
        [sys.executable, "-m", "homestretch", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environment,
    )
    assert "Traceback" not in done.stderr + done.stdout
    return Run(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    motion = body.exercise(
        "shoulder_abduction", repetitions=12, rate_hz=50.0, seed=3, placements=("upper_arm",), context=False
    )
    path = tmp_path_factory.mktemp("recordings") / "worn.csv"
    write_recording(path, motion.recording)
    return path


def test_help_names_every_command() -> None:
    shown = rtm("--help")
    assert shown.status == 0
    assert not [command for command in COMMANDS if command not in shown.out]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_prints_help(command: str) -> None:
    assert rtm(command, "--help").status == 0


def test_the_catalogue_is_listed_as_one_json_document() -> None:
    assert {entry["id"] for entry in rtm("exercises", "--json").json()} == set(EXERCISES)


@pytest.mark.parametrize(
    "arguments", [("analyze", "worn.csv", "--exercise", "squatt"), ("exercises", "squatt")]
)
def test_an_unknown_exercise_is_wrong_usage_and_names_the_nearest(arguments: tuple[str, ...]) -> None:
    run = rtm(*arguments, "--json")
    assert run.status == 2
    assert "squat" in run.json()["error"]


def test_analyze_writes_json_the_angle_and_a_plot(recording: Path, tmp_path: Path) -> None:
    angle, plot = tmp_path / "angle.csv", tmp_path / "plot.svg"
    run = rtm(
        "analyze", str(recording), "--exercise", "shoulder_abduction",
        "--angle", str(angle), "--plot", str(plot), "--json",
    )  # fmt: skip
    assert run.status == 0, run.err
    result = run.json()
    assert set(result) >= {
        "exercise", "duration_s", "repetitions", "repetitions_range", "angle", "sets", "rom_deg", "withheld",
        "pipeline_version",
    }  # fmt: skip
    assert result["repetitions"] == sum(len(group["repetitions"]) for group in result["sets"])
    with angle.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["t", "angle_deg", "valid"]
    assert all((row["angle_deg"] == "") == (row["valid"] == "0") for row in rows)
    assert plot.read_text(encoding="utf-8").lstrip().startswith("<?xml")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "empty.csv"),
        ("t,sensor,ax,ay,az\n0,wrist,1,2\n", "line 2"),
        ("t,sensor,ax,ay,az\n0,wrist,1,2,three\n", "line 2"),
    ],
)
def test_a_bad_recording_is_one_sentence(text: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.write_text(text, encoding="utf-8")
    run = rtm("analyze", str(path), "--exercise", "generic", "--json")
    assert run.status == 1
    assert named in run.json()["error"]
    assert len(run.err.strip().splitlines()) == 1


def test_a_recording_that_is_not_there() -> None:
    run = rtm("analyze", "nowhere.csv", "--exercise", "generic")
    assert (run.status, run.out) == (1, "")
    assert "nowhere.csv" in run.err


def test_calibration_options_go_together(recording: Path) -> None:
    run = rtm("analyze", str(recording), "--exercise", "generic", "--calibration", str(recording))
    assert run.status == 2


def test_bill_answers_with_lines(tmp_path: Path) -> None:
    path = tmp_path / "case.json"
    path.write_text(json.dumps(CASE), encoding="utf-8")
    result = rtm("bill", str(path), "--json").json()
    assert [(line["code"], line["decision"]) for line in result["lines"]] == [("98977", "bill")]


def test_bill_says_in_words_of_which_period_it_speaks(tmp_path: Path) -> None:
    path = tmp_path / "case.json"
    path.write_text(json.dumps({**CASE, "as_of": "2026-03-20"}), encoding="utf-8-sig")  # as some editors save
    run = rtm("bill", str(path))
    assert run.status == 0
    assert "open: 98977, 2026-03-" in run.out


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "case.json"
    path.write_text(json.dumps(CASE)[:-1] + ', "data": []}', encoding="utf-8")
    run = rtm("bill", str(path), "--json")
    assert run.status == 1
    assert run.json()["error"] == "The case gives the key 'data' twice."


def test_a_bad_case_names_the_field(tmp_path: Path) -> None:
    path = tmp_path / "case.json"
    path.write_text(json.dumps({**CASE, "patient": {"timezone": "Mars/Olympus"}}), encoding="utf-8")
    run = rtm("bill", str(path), "--json")
    assert run.status == 1
    assert "patient.timezone" in run.json()["error"]


def test_bill_settings_are_listed() -> None:
    names = {row["name"] for row in rtm("bill", "--settings", "--json").json()}
    assert {"window_anchor", "supply_when", "timed_units", "correction"} <= names


@pytest.mark.parametrize("command", ["serve", "ingest", "worker", "verify", "migrate"])
def test_without_a_database_there_is_one_sentence(command: str) -> None:
    run = rtm(command, environment={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"})
    assert run.status == 1
    assert "RTM_DATABASE_URL" in run.err


def test_a_transport_that_cannot_be_opened_is_one_sentence() -> None:
    run = rtm(
        "simulate", "--wearable", "homestretch", "--exercise", "squat", "--repetitions", "1",
        "--transport", "tcp-server:127.0.0.1:99999",
    )  # fmt: skip
    assert run.status == 1
    assert run.err.startswith("rtm: The transport tcp-server:127.0.0.1:99999 cannot be opened")
    assert "unexpected" not in run.err


def test_a_wearable_that_does_not_exist_is_wrong_usage() -> None:
    run = rtm("simulate", "--wearable", "fitbit", "--transport", "tcp-server:127.0.0.1:0")
    assert run.status == 2
    assert "homestretch" in run.err


def test_doctor_prints_findings() -> None:
    findings = rtm("doctor", "--json").json()
    assert {"name", "ok", "needed", "text"} == set(findings[0])


@pytest.mark.parametrize(
    "arguments",
    [
        ("demo", "--patients", "none"),
        ("export", "claims", "--month", "2026-13", "--out", "x"),
        (
            "simulate",
            "--wearable",
            "homestretch",
            "--transport",
            "tcp-server:127.0.0.1:0",
            "--exercise",
            "squatt",
        ),
        ("nosuch",),
        ("analyze",),
    ],
)
def test_wrong_usage_is_one_sentence(arguments: tuple[str, ...]) -> None:
    run = rtm(*arguments)
    assert (run.status, run.out) == (2, "")
    assert len(run.err.strip().splitlines()) == 1


def test_wrong_usage_is_a_json_document_where_one_was_asked_for() -> None:
    run = rtm("bill", "--nosuch", "--json")
    assert run.status == 2
    assert "--nosuch" in run.json()["error"]


@pytest.mark.parametrize("text", ["[", "9" * 5000, "[]", "[" * 100_000, "\udcff"])
def test_a_file_that_is_no_case_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "case.json"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    run = rtm("bill", str(path), "--json")
    assert run.status == 1
    assert "case.json" in run.json()["error"]


def test_a_case_that_is_not_there_is_said_in_words() -> None:
    assert rtm("bill", "nowhere.json", "--json").json() == {
        "error": "nowhere.json: No such file or directory."
    }


def test_a_wrong_setting_is_named_by_its_variable() -> None:
    run = rtm(
        "verify",
        "--json",
        environment={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "RTM_HTTP_PORT": "x"},
    )
    assert run.status == 1
    assert run.json()["error"].startswith("RTM_HTTP_PORT: ")


@pytest.mark.parametrize("url", ["postgres//me:s3cret@host/db", "postgresql://me:s3 cret@host/db"])
def test_an_address_that_cannot_be_read_is_refused_at_once_without_its_password(url: str) -> None:
    for command in ("verify", "doctor"):
        run = rtm(
            command, environment={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "RTM_DATABASE_URL": url}
        )
        assert run.status == 1
        said = run.out + run.err
        assert "postgresql://user:password@host" in said
        assert "cret" not in said
        assert "waiting" not in said


@pytest.mark.parametrize("url", ["mqtt://[::1", "mqtt://host:99999"])
def test_doctor_names_a_broker_it_cannot_read(url: str) -> None:
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "RTM_MQTT_URL": url}
    findings = rtm("doctor", "--json", environment=environment).json()
    assert [each["ok"] for each in findings if each["name"] == "broker"] == [False]
