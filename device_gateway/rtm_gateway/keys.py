"""The key that the outbox is encrypted with: a file of its own, readable by its owner alone.

On the same card as the database it protects a copied database file, not a stolen card
(`docs/explanation/nothing-is-lost.md`); point `RTM_KEY_FILE` at another medium where there is one.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path
from typing import Final

KEY_BYTES: Final = 32  # AES-256


class KeyFileError(Exception):
    """A key file that must not be used; the message is one plain sentence."""


def load_or_create_key(path: Path) -> bytes:
    """The 32 bytes in `path`; made, with mode 0600 and synced to disk, where the file does not exist."""
    try:
        return _load(path)
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, secrets.token_bytes(KEY_BYTES))
        os.fsync(handle)
    finally:
        os.close(handle)
    try:
        os.link(draft, path)  # fails if another process was first: then its key holds
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    _sync_directory(path.parent)
    return _load(path)


def _load(path: Path) -> bytes:
    with path.open("rb") as file:
        if os.name == "posix" and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
            raise KeyFileError(f"The key file {path.name} can be read by others: set its mode to 600.")
        key = file.read(KEY_BYTES + 1)
    if len(key) != KEY_BYTES:
        raise KeyFileError(f"The key file {path.name} does not hold {KEY_BYTES} bytes.")
    return key


def _sync_directory(path: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
