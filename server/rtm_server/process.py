"""Questions about processes that are not necessarily our children. A zombie is dead: nobody answers any more."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_PROC = Path("/proc")


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _state(pid) not in {"Z", "X", ""}


def in_folder(folder: Path) -> list[int]:
    """Live processes that work in `folder` (a postmaster and its backends work in their data folder).

    Empty where the system cannot say (no /proc); callers then fall back on what PostgreSQL itself checks.
    """
    if not _PROC.is_dir():
        return []
    wanted = str(folder.resolve())
    return [pid for pid in _all_pids() if _working_folder(pid) == wanted and alive(pid)]


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]


def _working_folder(pid: int) -> str | None:
    try:
        return str((_PROC / str(pid) / "cwd").readlink())
    except OSError:
        return None


def _state(pid: int) -> str:
    if _PROC.is_dir():
        try:
            # The name may hold spaces and brackets: the state follows the last bracket.
            return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, IndexError):
            return ""
    command = ["ps", "-o", "stat=", "-p", str(pid)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a number, no shell
    return answer.stdout.strip()[:1]


def knows_folders() -> bool:
    """Whether this system can say where a process works."""
    return _PROC.is_dir()
