"""What the filters keep, what they drop, and that nothing comes later than it was."""

from __future__ import annotations

import numpy as np
import pytest

from rtm_signal.filters import band_pass, low_pass
from rtm_signal.recording import FloatArray

T = np.arange(3000) / 50.0
MIDDLE = slice(1000, 2000)


def wave(frequency_hz: float) -> FloatArray:
    """(n, 2) the same wave in two columns, the second twice as large."""
    one = np.sin(2 * np.pi * frequency_hz * T)
    return np.stack([one, 2 * one], axis=1)


def test_a_low_pass_keeps_slow_waves_in_their_place_and_drops_quick_ones() -> None:
    slow, quick = wave(0.3), wave(15.0)
    kept = low_pass(slow + quick, 3.0, 50.0)
    np.testing.assert_allclose(kept[MIDDLE], slow[MIDDLE], atol=0.01)
    assert low_pass(quick, 30.0, 50.0)[MIDDLE] == pytest.approx(
        quick[MIDDLE], abs=0.2
    )  # above 22.5: brought to it


def test_a_band_pass_keeps_what_lies_between_its_edges() -> None:
    inside, drift, quick = wave(1.6), wave(0.02), wave(20.0)
    kept = band_pass(inside + drift + quick, (0.5, 5.0), 50.0, padding_s=3.0)
    np.testing.assert_allclose(kept[MIDDLE], inside[MIDDLE], atol=0.05)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_too_short_to_filter_stays_as_it_is(n: int) -> None:
    np.testing.assert_array_equal(low_pass(wave(1.0)[:n], 3.0, 50.0), wave(1.0)[:n])
