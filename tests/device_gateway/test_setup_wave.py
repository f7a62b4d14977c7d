"""Which sensor moved: a clear winner, or nobody."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtm_gateway.drivers.driver import Flag, SampleBlock, StreamSpec
from rtm_gateway.wave import APART, MOVED, Judgement, Verdict, WaveWatch
from rtm_signal.chunk import Channel

RATE_HZ = 50.0
ACC = StreamSpec("acc", tuple(Channel(name, "m/s2", 0.005) for name in ("ax", "ay", "az")), RATE_HZ, "int16")
SECOND_NS = 1_000_000_000


def seconds(size: float, n: float, *, seed: int = 0, start_s: float = 0.0) -> list[SampleBlock]:
    """n seconds that move with a standard deviation of `size` m/s2, ten samples a block."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(n * RATE_HZ)) / RATE_HZ
    move = size * np.sqrt(2) * np.sin(2 * np.pi * 2 * t)
    acc = np.stack([move, 0 * t, 9.81 + 0 * t], 1) + rng.normal(0, 0.02, (len(t), 3))
    raw = np.rint(acc / 0.005).astype(np.int16)
    return [
        SampleBlock("acc", 1, at, raw[at : at + 10], None, RATE_HZ, int((start_s + at / RATE_HZ) * 1e9))
        for at in range(0, len(raw), 10)
    ]


def judge(moves: dict[str, float], n: float = 4.0, now_s: float | None = None) -> Judgement[str]:
    watch = WaveWatch(tuple(moves))
    for key, size in moves.items():
        for block in seconds(size, n):
            watch.feed(key, ACC, block)
    return watch.judge(int((n if now_s is None else now_s) * SECOND_NS))


@pytest.mark.parametrize(
    ("moves", "verdict", "who"),
    [
        ({"a": 5.0, "b": 0.05, "c": 0.3}, Verdict.ONE, {"a"}),
        ({"a": 5.0}, Verdict.ONE, {"a"}),
        ({"a": 0.1, "b": 0.2}, Verdict.NONE, set()),
        ({"a": 5.0, "b": 4.0}, Verdict.SEVERAL, {"a", "b"}),
        ({"a": 5.0, "b": 2.5, "c": 0.1}, Verdict.SEVERAL, {"a", "b"}),
    ],
)
def test_the_verdict(moves: dict[str, float], verdict: Verdict, who: set[str]) -> None:
    judged = judge(moves)
    assert judged.verdict is verdict
    assert set(judged.sensors) == who


def test_too_little_and_a_single_knock_say_nothing() -> None:
    assert judge({"a": 5.0, "b": 0.0}, n=2.5).verdict is Verdict.EARLY
    watch = WaveWatch(("a",))
    for size in (0.05, 9.0, 0.05):
        for block in seconds(size, 1.0):
            watch.feed("a", ACC, block)
    assert watch.judge(3 * SECOND_NS).verdict is Verdict.NONE


def test_a_sensor_that_went_silent_may_have_moved_unseen() -> None:
    watch = WaveWatch(("a", "b", "never"))
    for block in seconds(0.05, 3.0):
        watch.feed("b", ACC, block)
    for block in seconds(5.0, 4.0, start_s=6.0):
        watch.feed("a", ACC, block)
    judged = watch.judge(10 * SECOND_NS)
    assert judged.verdict is Verdict.SILENT
    assert set(judged.sensors) == {"b", "never"}


def test_history_from_a_memory_is_not_now() -> None:
    watch = WaveWatch(("a",))
    for block in seconds(5.0, 4.0):
        past = SampleBlock("acc", 1, block.first, block.values, None, RATE_HZ, block.arrival_ns, Flag.FLASH)
        watch.feed("a", ACC, past)
    assert watch.judge(4 * SECOND_NS).verdict is Verdict.EARLY


@given(st.lists(st.floats(0.0, 15.0), min_size=1, max_size=5))
def test_never_a_guess(sizes: list[float]) -> None:
    """Whoever wins moved, and clearly more than every other: never one of two that are alike."""
    judged = judge({str(number): size for number, size in enumerate(sizes)})
    if judged.verdict is Verdict.ONE:
        first = sizes[int(judged.sensors[0])]
        assert first > 0.9 * MOVED
        others = [size for number, size in enumerate(sizes) if number != int(judged.sensors[0])]
        assert all(0.9 * APART * size < first + 0.2 for size in others)
