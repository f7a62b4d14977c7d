"""The outbox: nothing leaves it but on the server's word; trouble is told, never raised."""

from __future__ import annotations

import itertools
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rtm_gateway.keys import KeyFileError, load_or_create_key
from rtm_gateway.outbox import RESEND_AFTER_S, Entry, Outbox, OutboxError, OutboxEvent
from rtm_gateway.outbox_database import SEAL_BYTES

KEY = bytes(range(32))
Open = Callable[..., Outbox]


@pytest.fixture
def events() -> list[OutboxEvent]:
    return []


@pytest.fixture
def outbox_at(tmp_path: Path, events: list[OutboxEvent]) -> Iterator[Open]:
    """Opens outboxes on one file; closes what is open at the end."""
    opened: list[Outbox] = []

    def open_outbox(*, limit_bytes: int = 1 << 20, key: bytes = KEY) -> Outbox:
        box = Outbox(
            tmp_path / "outbox.db",
            key,
            limit_bytes=limit_bytes,
            on_event=events.append,
            jitter=itertools.cycle([0.1, 0.9, 0.4]).__next__,
        )
        opened.append(box)
        return box

    yield open_outbox
    for box in opened:
        box.close()


def entry(number: int, size: int = 100) -> Entry:
    return Entry(f"c:{number}", 1, bytes([number % 256]) * size)


def numbers(taken: list[Entry]) -> list[int]:
    return [int(each.key[2:]) for each in taken]


def test_items_survive_a_restart_until_the_server_committed_them(outbox_at: Open) -> None:
    box = outbox_at()
    assert box.put([entry(n) for n in range(5)])
    box.close()
    box = outbox_at()
    assert box.pending() == 5
    assert sorted(box.take(1 << 20, 0.0)) == [entry(n) for n in range(5)]
    assert box.pending() == 5, "sending removes nothing"
    assert box.committed(["c:1", "c:3", "c:99"]) == 2
    box.close()
    box = outbox_at()
    assert sorted(numbers(box.take(1 << 20, 0.0))) == [0, 2, 4]


def test_a_key_is_stored_once(outbox_at: Open) -> None:
    box = outbox_at()
    assert box.put([entry(1), entry(1), entry(2)])
    assert box.put([Entry("c:1", 1, b"other")])
    assert box.pending() == 2
    assert sorted(box.take(1 << 20, 0.0)) == [entry(1), entry(2)]


def test_what_is_not_acknowledged_is_sent_again_with_jitter(outbox_at: Open) -> None:
    box = outbox_at()
    box.put([entry(n) for n in range(50)])
    assert len(box.take(1 << 20, 0.0)) == 50
    assert box.take(1 << 20, RESEND_AFTER_S - 0.1) == []
    some = box.take(1 << 20, RESEND_AFTER_S * 1.25)
    assert 0 < len(some) < 50, "spread over half of the time again"
    rest = box.take(1 << 20, RESEND_AFTER_S * 1.5)
    assert sorted(numbers(some + rest)) == list(range(50))


def test_a_batch_stays_within_its_bytes_and_a_large_item_goes_alone(outbox_at: Open) -> None:
    box = outbox_at()
    box.put([entry(n) for n in range(10)])
    assert len(box.take(3 * (100 + SEAL_BYTES), 0.0)) == 3
    assert box.in_flight_bytes == 3 * (100 + SEAL_BYTES)
    box.committed([f"c:{n}" for n in range(10)])
    box.put([entry(20, 5000), entry(21, 5000)])
    assert len(box.take(1000, 0.0)) == 1
    assert box.take(1000, 0.0) == [], "one at a time"


def test_new_data_flow_while_a_backlog_drains(outbox_at: Open) -> None:
    box = outbox_at(limit_bytes=1 << 24)
    for start in range(0, 2000, 100):
        box.put([entry(n) for n in range(start, start + 100)])
    box.close()
    box = outbox_at(limit_bytes=1 << 24)
    seen: list[int] = []
    for step in range(10):
        box.put([entry(5000 + step)])
        batch = numbers(box.take(20 * (100 + SEAL_BYTES), 0.0))
        assert 5000 + step in batch
        assert batch[0] == 5000 + step
        seen += batch
        box.committed([f"c:{n}" for n in batch])
    assert [n for n in seen if n < 5000] == list(range(190)), "the backlog drains oldest first meanwhile"
    while batch := numbers(box.take(1 << 16, 0.0)):
        seen += batch
        box.committed([f"c:{n}" for n in batch])
    assert sorted(seen) == [*range(2000), *range(5000, 5010)]
    assert box.pending() == 0


def test_after_a_lost_session_everything_is_sent_again(outbox_at: Open) -> None:
    box = outbox_at()
    box.put([entry(n) for n in range(5)])
    box.take(1 << 20, 0.0)
    box.rewind()
    assert sorted(numbers(box.take(1 << 20, 0.0))) == list(range(5))


def test_refused_items_are_kept_aside_and_counted(outbox_at: Open) -> None:
    box = outbox_at()
    box.put([entry(1), entry(2)])
    assert box.refuse("c:1", "The chunk names a sensor of somebody else.")
    assert not box.refuse("c:1", "again")
    assert numbers(box.take(1 << 20, 0.0)) == [2]
    box.close()
    box = outbox_at()
    assert box.refused() == [("c:1", "The chunk names a sensor of somebody else.")]
    assert box.status().refused == 1
    assert box.pending() == 1


def test_states_are_written_with_the_items_or_not_at_all(outbox_at: Open) -> None:
    box = outbox_at(limit_bytes=1000)
    assert box.put([entry(1)], {"recording": b"open"})
    assert not box.put([entry(2, 5000)], {"recording": b"closed"})
    box.close()
    box = outbox_at()
    assert box.recall("recording") == b"open"
    assert box.put([], {"recording": None})
    assert box.recall("recording") is None


# --- full, damaged, foreign --------------------------------------------------------------------------------


def test_a_full_outbox_alarms_first_then_refuses_new_items_and_recovers(
    outbox_at: Open, events: list[OutboxEvent]
) -> None:
    size = 100 + SEAL_BYTES
    box = outbox_at(limit_bytes=10 * size)
    stored = [box.put([entry(n)]) for n in range(13)]
    assert stored == [True] * 10 + [False] * 3
    assert [event.kind for event in events] == ["nearly_full", "full"]
    assert box.status().not_stored == 3
    assert sorted(numbers(box.take(1 << 20, 0.0))) == list(range(10)), "what was promised is still there"
    box.committed([f"c:{n}" for n in range(5)])
    assert [event.kind for event in events] == ["nearly_full", "full", "recovered"]
    assert box.put([entry(20)])


def test_a_full_disk_is_an_alarm_not_a_crash(
    outbox_at: Open, events: list[OutboxEvent], tmp_path: Path
) -> None:
    box = outbox_at(limit_bytes=1 << 30)
    assert box.put([entry(n, 4000) for n in range(20)])
    box._db.execute(f"pragma max_page_count = {box._db.execute('pragma page_count').fetchone()[0]}")
    assert not all(box.put([entry(100 + n, 4000)]) for n in range(20)), "SQLITE_FULL"
    assert [event.kind for event in events] == ["disk"]
    assert box.committed([f"c:{n}" for n in range(20)]) == 20, "deleting still works"
    assert [event.kind for event in events] == ["disk", "recovered"]
    assert box.put([entry(200)])


WITHOUT_ROOM = """
import random, resource, signal, sys
from pathlib import Path
from rtm_gateway.outbox import Entry, Outbox
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
told = lambda event: print("event", event.kind)
box = Outbox(Path(sys.argv[1]), bytes(32), limit_bytes=1 << 30, on_event=told)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
stored = [n for n in range(400) if box.put([Entry(f"c:{n}", 1, random.Random(n).randbytes(4000))])]
print("stored", len(stored), "not", box.status().not_stored)
while taken := box.take(1 << 20, 0.0):
    assert set(int(each.key[2:]) for each in taken) <= set(stored)
    assert all(each.data == random.Random(int(each.key[2:])).randbytes(4000) for each in taken)
    print("taken", len(taken))
"""


def test_writes_that_the_system_refuses_are_an_alarm_not_a_crash(tmp_path: Path) -> None:
    """The operating system itself fails the writes (a file size limit), in the middle of the log."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_ROOM, str(tmp_path / "outbox.db")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "event disk" in lines
    stored = next(line for line in lines if line.startswith("stored")).split()
    assert int(stored[1]) > 5
    assert int(stored[1]) + int(stored[3]) == 400
    assert sum(int(line.split()[1]) for line in lines if line.startswith("taken")) == int(stored[1])


def test_a_damaged_database_is_kept_aside_and_a_new_one_begins(
    outbox_at: Open, events: list[OutboxEvent], tmp_path: Path
) -> None:
    (tmp_path / "outbox.db").write_bytes(b"not a database at all" * 1000)
    box = outbox_at()
    assert [event.kind for event in events] == ["replaced"]
    assert box.put([entry(1)])
    assert [path.name[:18] for path in tmp_path.glob("*damaged*")] == ["outbox.db.damaged-"]


def test_an_item_that_was_tampered_with_is_kept_aside(
    outbox_at: Open, events: list[OutboxEvent], tmp_path: Path
) -> None:
    box = outbox_at()
    box.put([entry(1), entry(2)])
    box.close()
    db = sqlite3.connect(tmp_path / "outbox.db")
    db.execute("update item set sealed = (select sealed from item where key = 'c:2') where key = 'c:1'")
    db.commit()
    db.close()
    box = outbox_at()
    assert numbers(box.take(1 << 20, 0.0)) == [2]
    assert [event.kind for event in events] == ["unreadable"]
    assert [key for key, _ in box.refused()] == ["c:1"]


def test_another_key_is_refused_and_harms_nothing(outbox_at: Open) -> None:
    outbox_at().put([entry(1)])
    with pytest.raises(OutboxError, match="does not belong"):
        outbox_at(key=bytes(32))
    assert outbox_at().pending() == 1


def test_the_file_holds_nothing_in_the_clear(outbox_at: Open, tmp_path: Path) -> None:
    box = outbox_at()
    box.put([Entry("c:1", 1, b"a plain sentence " * 20)], {"recording": b"a plain sentence"})
    assert all(b"plain sentence" not in path.read_bytes() for path in tmp_path.iterdir())
    assert stat.S_IMODE((tmp_path / "outbox.db").stat().st_mode) == 0o600


def test_a_directory_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutboxError):
        Outbox(tmp_path / "file" / "outbox.db", KEY, limit_bytes=1)


# --- the key file ------------------------------------------------------------------------------------------


def test_the_key_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "outbox.key"
    key = load_or_create_key(path)
    assert len(key) == 32
    assert load_or_create_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["outbox.key"]


@pytest.mark.parametrize(("content", "mode"), [(bytes(31), 0o600), (bytes(33), 0o600), (bytes(32), 0o640)])
def test_a_key_file_that_is_short_long_or_open_is_refused(tmp_path: Path, content: bytes, mode: int) -> None:
    path = tmp_path / "outbox.key"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(KeyFileError):
        load_or_create_key(path)
