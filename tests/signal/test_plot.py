"""The picture: the same bytes for the same analysis, and a plain word for a wrong name."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtm_firmware_sim.body import exercise
from rtm_signal.analysis import analyze
from rtm_signal.plot import plot
from rtm_signal.recording import RecordingError
from rtm_signal.result import Analysis

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    motion = exercise("biceps_curl", repetitions=5, rate_hz=50.0, seed=1, placements=["wrist"])
    return analyze(motion.recording, "biceps_curl")


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_same_analysis_same_bytes(analysis: Analysis, suffix: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        plot(analysis, tmp_path / f"{name}.{suffix}")
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_svg_speaks_plainly(analysis: Analysis, tmp_path: Path) -> None:
    plot(analysis, tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "Biceps curl: 5 repetitions" in text
    assert "inclination (degrees)" in text


def test_withheld_angle_is_still_a_picture(tmp_path: Path) -> None:
    motion = exercise("biceps_curl", repetitions=5, rate_hz=50.0, seed=1, placements=["wrist"])
    plot(analyze(motion.recording, "squat"), tmp_path / "a.svg")
    assert "range of motion not stated" in (tmp_path / "a.svg").read_text(encoding="utf-8")


def test_other_suffix_is_refused(analysis: Analysis, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="svg"):
        plot(analysis, tmp_path / "a.pdf")
