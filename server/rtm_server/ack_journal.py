"""What was acknowledged, written outside the database: `rtm verify` compares the two.

One line a key, appended after COMMIT and before the ack leaves. A database restored from an old backup, or one that
lost a commit, shows up as keys that the journal has and the database has not. Keys only: no patient data.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO
from uuid import UUID, uuid4

FOLDER = "acks"


class AckJournal:
    """The journal of one ingest worker: `acks/{day}-{random}.log` below the data folder.

    A file of its own each: in a container every process has the same number, and a line torn by a kill must stay the
    last of its file."""

    def __init__(self, data_dir: Path) -> None:
        """data_dir: the platform's data folder."""
        self._folder = data_dir / FOLDER
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file: IO[str] | None = None
        self._day = ""

    def append(self, day: str, entries: Iterable[tuple[UUID, str]]) -> None:
        """Note (tenant, key) pairs; `day` (ISO) names the file, so that old ones can be deleted by age."""
        if self._file is None or day != self._day:
            self.close()
            path = self._folder / f"{day}-{uuid4()}.log"
            self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a")
            self._day = day
        self._file.writelines(f"{tenant} {key}\n" for tenant, key in entries)
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def acknowledged(data_dir: Path) -> Iterator[tuple[UUID, str]]:
    """Every (tenant, key) that was ever acknowledged from this folder; a line torn by a kill is skipped."""
    for path in sorted((data_dir / FOLDER).glob("*.log")):
        with path.open() as file:
            for line in file:
                tenant, _, key = line.rstrip("\n").partition(" ")
                if line.endswith("\n") and key:
                    yield UUID(tenant), key
