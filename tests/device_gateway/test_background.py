"""Work that may be lost: in order, and the oldest goes when too much waits."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from rtm_gateway.background import Background


@given(st.integers(1, 20), st.integers(0, 40))
def test_the_newest_are_done_in_order_and_the_rest_is_counted(limit: int, more: int) -> None:
    background = Background("test", limit=limit)
    begun, held, over = threading.Event(), threading.Event(), threading.Event()
    done: list[int] = []

    def first() -> None:
        begun.set()
        held.wait(60)

    background.submit(first)
    assert begun.wait(60)
    for number in range(more):
        background.submit(lambda number=number: done.append(number))  # type: ignore[misc]  # of this turn
    waiting = list(range(more))[-limit:]
    held.set()
    background.submit(over.set)
    assert over.wait(60)
    background.close()
    assert done in (waiting, waiting[1:]), "the last one may have pushed out one more"
    assert background.dropped == more - len(done)


def test_closing_does_not_wait_for_what_has_not_begun() -> None:
    background = Background("test", limit=5)
    begun, held = threading.Event(), threading.Event()
    done: list[int] = []

    def first() -> None:
        begun.set()
        held.wait(60)

    background.submit(first)
    assert begun.wait(60)
    background.submit(lambda: done.append(1))
    threading.Timer(0.2, held.set).start()
    background.close()
    assert done == []
