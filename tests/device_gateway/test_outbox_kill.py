"""kill -9 at any instruction: a process that puts and deletes is killed at random, then its file is read.

What these tests can see: an outbox that says "stored" before its COMMIT (the negative control does). What
they cannot see: a missing fsync. A killed process leaves the operating system's cache whole: only a power
cut shows that. `synchronous` is therefore read back and asserted.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rtm_gateway.outbox import Entry, Outbox

KEY = bytes(32)

CHILD = """
import random, sys
import numpy as np
from pathlib import Path
from rtm_gateway.outbox import Entry, Outbox

path, start, seed, when = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
rng = random.Random(seed)

class TooEarly(Outbox):
    '''The negative control: says yes at once and stores later, in larger transactions.'''
    waiting = []
    def put(self, entries, state=None):
        self.waiting += entries
        if len(self.waiting) > 20:
            super().put(self.waiting)
            self.waiting = []
        return True

def say(*words):
    print(*words, flush=True)

box = {"after commit": Outbox, "before commit": TooEarly}[when](path, bytes(32), limit_bytes=1 << 30)
number = start
say("open")
while True:
    batch = list(range(number, number + rng.randint(1, 4)))
    number = batch[-1] + 1
    say("putting", *batch)
    entries = [Entry(f"c:{n}", 1, np.random.default_rng(n).bytes(600)) for n in batch]
    assert box.put(entries, {"last": b"%d" % batch[-1]})
    say("put", *batch)
    if rng.random() < 0.4:
        gone = [entry.key for entry in box.take(3000, 0.0) if rng.random() < 0.7]
        say("deleting", *(key[2:] for key in gone))
        box.committed(gone)
"""


def run_and_kill(path: Path, start: int, seed: int, when: str, puts: int, after_s: float) -> list[str]:
    """What the child said before it was killed, a while after so many puts; a last line without its end was not
    said. A slow machine is as far as a fast one."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), str(start), str(seed), when], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    said = child.stdout.readline()
    while puts > 0 and (line := child.stdout.readline()):
        said += line
        puts -= line.startswith(b"put ")
    time.sleep(after_s)
    os.kill(child.pid, signal.SIGKILL)
    said += child.stdout.read()
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL
    return [line for line in said.decode().rpartition("\n")[0].splitlines() if line != "open"]


def lost_and_foreign(path: Path, said: list[str]) -> tuple[set[int], set[int]]:
    """(said to be stored, never said to be deleted, yet not there; there, yet never put)."""
    told: dict[str, set[int]] = {"putting": set(), "put": set(), "deleting": set()}
    for line in said:
        what, *rest = line.split()
        told[what].update(map(int, rest))
    box = Outbox(path, KEY, limit_bytes=1 << 30)
    there: set[int] = set()
    while taken := box.take(1 << 20, 0.0):
        for entry in taken:
            number = int(entry.key[2:])
            assert entry.data == np.random.default_rng(number).bytes(600), "not a byte changed"
            assert number not in there, "nothing twice"
            there.add(number)
    assert box._db.execute("pragma integrity_check").fetchone() == ("ok",)
    last = box.recall("last")
    assert last is None or int(last) in told["putting"], "the state is of the same transaction"
    box.close()
    return told["put"] - told["deleting"] - there, there - told["putting"]


def campaign(path: Path, when: str, rounds: int, seed: int) -> tuple[int, int, int]:
    """(puts that were said to be stored, lost, foreign) over several kills of one file."""
    rng = np.random.default_rng(seed)
    said: list[str] = []
    for _ in range(rounds):
        start = 1 + max((int(n) for line in said for n in line.split()[1:]), default=0)
        puts, after_s = int(rng.integers(2, 12)), rng.uniform(0.0, 0.03)
        said += run_and_kill(path, start, int(rng.integers(1 << 30)), when, puts, after_s)
        assert {line.split()[0] for line in said} <= {"putting", "put", "deleting"}
    lost, foreign = lost_and_foreign(path, said)
    return sum(len(line.split()) - 1 for line in said if line.startswith("put ")), len(lost), len(foreign)


def test_kill_9_at_any_moment_loses_nothing_that_was_said_to_be_stored(tmp_path: Path) -> None:
    seed = int(np.random.default_rng().integers(1 << 30))
    print(f"seed {seed}")
    stored, lost, foreign = campaign(tmp_path / "outbox.db", "after commit", 12, seed)
    assert stored > 50
    assert (lost, foreign) == (0, 0)


def test_the_harness_sees_an_outbox_that_speaks_before_its_commit(tmp_path: Path) -> None:
    """Negative control."""
    stored, lost, _ = campaign(tmp_path / "outbox.db", "before commit", 6, 1)
    assert stored > 50
    assert lost > 0


@pytest.mark.parametrize(("pragma", "value"), [("synchronous", 2), ("journal_mode", "wal")])
def test_a_commit_is_synced(tmp_path: Path, pragma: str, value: object) -> None:
    box = Outbox(tmp_path / "outbox.db", KEY, limit_bytes=1 << 20)
    assert box._db.execute(f"pragma {pragma}").fetchone() == (value,)
    assert box.put([Entry("c:1", 1, b"")])
    box.close()
