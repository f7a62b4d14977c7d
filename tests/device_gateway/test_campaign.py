"""The short fault campaign: every kind of fault once, and gateways with a mistake that it must find out.

`make torture` runs the long one. The campaign is a process of its own, as a user runs it.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SEED = int(os.environ.get("RTM_TEST_SEED", "0")) or random.SystemRandom().randint(1, 10**6)


TIMEOUT_S = 900
"""For a campaign that hangs. One that runs ends by itself once nothing new arrives any more."""


def torture(*arguments: str) -> dict[str, Any]:
    """The verdict; under `told` its one line, which stands alone where a log is cut. All else is printed."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.torture", "--short", "--json", "--seed", str(SEED), *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    print(f"{done.stdout}\n{done.stderr}")
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(lines) == 1, f"seed {SEED}: no verdict; {done.stderr[-400:]}"
    verdict: dict[str, Any] = json.loads(lines[0])
    assert done.returncode == (0 if verdict["ok"] else 1)
    return verdict | {"told": lines[0]}


@pytest.mark.timeout(TIMEOUT_S + 60)
def test_a_home_with_every_fault_loses_and_doubles_nothing_and_declares_every_gap() -> None:
    verdict = torture()
    told = verdict["told"]
    assert sum(verdict["faults"].values()) >= 12, told
    assert verdict["lost"] == verdict["doubled"] == verdict["altered"] == 0, told
    assert verdict["foreign"] == verdict["outside"] == 0, told
    assert verdict["gaps_different"] == 0, told
    assert verdict["gap_samples_reported"] == verdict["gap_samples_true"], told
    assert verdict["stored"] > 1000, told
    assert verdict["settled"], told


@pytest.fixture(scope="module")
def controls() -> dict[str, dict[str, Any]]:
    """Each mistake's campaign, side by side."""
    mistakes = ("ack-before-commit", "delete-on-puback", "free-before-stored")
    with ThreadPoolExecutor() as pool:
        return dict(
            zip(mistakes, pool.map(lambda mistake: torture("--mistake", mistake), mistakes), strict=True)
        )


@pytest.mark.timeout(TIMEOUT_S + 60)
@pytest.mark.parametrize("mistake", ["ack-before-commit", "delete-on-puback", "free-before-stored"])
def test_the_campaign_finds_out_a_mistake(controls: dict[str, dict[str, Any]], mistake: str) -> None:
    """Negative controls."""
    verdict = controls[mistake]
    assert not verdict["ok"], verdict["told"]
    assert verdict["lost"] > 0, verdict["told"]


def test_a_missing_fsync_is_seen_by_reading_the_pragma_back_because_kill_9_cannot_show_it(
    tmp_path: Path,
) -> None:
    """Negative control: kill -9 leaves the operating system's cache whole, only a power cut does not."""
    script = (
        "import sys; from pathlib import Path; from benchmarks.campaign.gateway_child import MISTAKES\n"
        "from rtm_gateway.outbox import Outbox\n"
        "for name in sys.argv[2:]: MISTAKES[name]()\n"
        "box = Outbox(Path(sys.argv[1]), bytes(32), limit_bytes=1 << 20)\n"
        "print(box._db.execute('pragma synchronous').fetchone()[0])\n"
    )

    def synchronous(*mistakes: str) -> str:
        command = [sys.executable, "-c", script, str(tmp_path / "outbox.db"), *mistakes]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    assert synchronous() == "2"
    assert synchronous("no-fsync") == "0"
