"""What a sensor's memory no longer has is told exactly once, with its length."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rtm_gateway.drivers.driver import StoredRun
from rtm_gateway.link_event import Span
from rtm_gateway.overwritten import overwritten
from rtm_gateway.unwrap import Coverage

KEY = ("imu", 7)


def test_a_hole_before_the_memorys_oldest_sample_is_lost() -> None:
    have = {KEY: Coverage([(0, 1000), (1300, 1500)])}
    assert overwritten(have, {KEY: 1000}, [StoredRun("imu", 7, 1300, 1500)]) == [Span("imu", 7, 1000, 1299)]


def test_what_is_still_under_way_is_not_lost() -> None:
    have = {KEY: Coverage([(0, 1000), (1100, 1200)])}
    assert overwritten(have, {KEY: 1000}, []) == []


def test_the_beginning_of_a_boot_may_be_overwritten_before_anything_came() -> None:
    have = {KEY: Coverage([(5, 9)])}
    assert overwritten(have, {}, [StoredRun("imu", 7, 5, 9)]) == [Span("imu", 7, 0, 4)]


def test_a_boot_of_which_the_memory_tells_the_end_alone_is_lost_up_to_it() -> None:
    have = {KEY: Coverage([(0, 500)]), ("imu", 8): Coverage()}
    runs = [StoredRun("imu", 7, 560, 560), StoredRun("imu", 8, 30, 30)]
    assert overwritten(have, {KEY: 500}, runs) == [Span("imu", 7, 500, 559), Span("imu", 8, 0, 29)]


indices = st.sets(st.integers(0, 60))


@given(came=indices, memory=indices, under_way=st.integers(0, 10))
def test_lost_is_what_is_neither_here_nor_in_the_memory(
    came: set[int], memory: set[int], under_way: int
) -> None:
    """Whatever came and whatever the memory holds; samples beyond both may still come."""
    have = {KEY: Coverage([(i, i + 1) for i in sorted(came)])}
    end = max(came, default=-1) + 1
    live = {end + 5 + i for i in range(under_way)}  # came after the memory was listed
    for index in live:
        have[KEY].add(index, index + 1)
    runs = [StoredRun("imu", 7, i, i + 1) for i in sorted(memory)]
    told = {i for span in overwritten(have, {KEY: end}, runs) for i in range(span.first, span.last + 1)}
    assert told == set(range(max(end, max(memory, default=-1) + 1))) - came - memory - live
