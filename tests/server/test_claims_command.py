"""`rtm export claims` as it is called: files, exit status, one sentence."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import pyx12.params
import pyx12.x12n_document
from typer.testing import CliRunner, Result

from homestretch.cli import app
from rtm_server.claims.testing import add_line, furnish
from rtm_server.testing import Clinic, Database


@pytest.fixture
def server(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment of the command; the folder to write to."""
    key = tmp_path / "master.key"
    key.write_text(bytes(range(32)).hex())
    monkeypatch.setenv("RTM_DATABASE_URL", database.dsn)
    monkeypatch.setenv("RTM_MASTER_KEY_FILE", str(key))
    return tmp_path / "out"


def export(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["export", "claims", *arguments])


def test_twice_the_same_bytes(server: Path, clinic: Clinic) -> None:
    clerk = furnish(clinic)
    add_line(clinic, clerk, "98977")
    add_line(clinic, clerk, "98980")
    done = export("--month", "2026-03", "--out", str(server))
    assert done.exit_code == 0, done.stderr
    (name,) = (Path(line).name for line in done.stdout.split())
    once = {path.name: path.read_bytes() for path in server.iterdir()}
    assert set(once) == {name, "manifest.json"}
    answer = io.StringIO()
    text = io.StringIO(once[name].decode("ascii"))
    assert pyx12.x12n_document.x12n_document(pyx12.params.params(), text, fd_997=answer, fd_html=None)
    assert "AK9*A*" in answer.getvalue()
    assert export("--month", "2026-03", "--format", "837p", "--out", str(server)).exit_code == 0
    assert once == {path.name: path.read_bytes() for path in server.iterdir()}
    table = export("--month", "2026-03", "--format", "csv", "--out", str(server / "csv"))
    assert table.exit_code == 0
    assert json.loads((server / "csv" / "manifest.json").read_text())["rows"] == 2


def test_what_is_left_out_is_said(server: Path, clinic: Clinic) -> None:
    clerk = furnish(clinic, diagnoses=[])
    add_line(clinic, clerk, "98977", on=clinic.since.date().replace(year=2026, month=1, day=31))
    done = export("--month", "2026-01", "--out", str(server))
    assert done.exit_code == 1
    assert "ICD-10" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Example" not in done.stderr
    manifest = json.loads((server / "manifest.json").read_text())
    assert (manifest["rows"], len(manifest["left_out"])) == (0, 1)


def test_an_empty_month_and_wrong_words(server: Path, clinic: Clinic) -> None:
    done = export("--month", "2025-01", "--out", str(server))
    assert done.exit_code == 0
    assert "no released line" in done.stderr
    assert export("--month", "2026-13", "--out", str(server)).exit_code == 2
    assert export("--month", "2026-01", "--format", "pdf", "--out", str(server)).exit_code == 2


def test_a_folder_that_is_a_file(server: Path, clinic: Clinic) -> None:
    # A month of its own: the clinics of this module share a database, and the command exports them all.
    add_line(clinic, furnish(clinic), "98977", on=clinic.since.date().replace(year=2026, month=2, day=28))
    server.write_text("in the way")
    done = export("--month", "2026-02", "--out", str(server))
    assert done.exit_code == 1
    assert "Traceback" not in done.stderr
