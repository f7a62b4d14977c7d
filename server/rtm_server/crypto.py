"""Envelope encryption: a data key per patient, wrapped by the tenant's, wrapped by the master key (AES-256-GCM).

A box is `version (1 byte) | nonce (12) | ciphertext and tag`. The associated data say where the box belongs, so
ciphertext moved to another row does not open. Erasing a patient is dropping the patient's data key.
Compress before encrypting: ciphertext does not compress.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
from pathlib import Path
from uuid import UUID, uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rtm_server.errors import CryptoError

KEY_BYTES = 32
_NONCE_BYTES = 12  # NIST SP 800-38D: 96 bits, random; far below 2^32 boxes under one data key
_VERSION = b"\x01"


class DataKey:
    """A key that seals and opens boxes. Its bytes never leave this module unwrapped."""

    __slots__ = ("_aead", "_raw")

    def __init__(self, raw: bytes) -> None:
        """raw: 32 bytes."""
        if len(raw) != KEY_BYTES:
            raise CryptoError(f"a key has {KEY_BYTES} bytes, not {len(raw)}")
        self._raw = raw
        self._aead = AESGCM(raw)

    @classmethod
    def new(cls) -> DataKey:
        """A random key."""
        return cls(os.urandom(KEY_BYTES))

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """Encrypt; `place` is authenticated and must be given again to open."""
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._aead.encrypt(nonce, plain, place)

    def open(self, box: bytes, place: bytes) -> bytes:
        """Decrypt, or raise CryptoError when key, place or bytes do not fit."""
        if box[:1] != _VERSION or len(box) < 1 + _NONCE_BYTES + 16:
            raise CryptoError("the ciphertext has an unknown form")
        try:
            return self._aead.decrypt(box[1 : 1 + _NONCE_BYTES], box[1 + _NONCE_BYTES :], place)
        except InvalidTag:
            raise CryptoError("the ciphertext was altered, moved or sealed with another key") from None

    def wrap(self, inner: DataKey, place: bytes) -> bytes:
        """Encrypt another key under this one."""
        return self.seal(inner._raw, b"key|" + place)

    def unwrap(self, box: bytes, place: bytes) -> DataKey:
        """The inverse of wrap."""
        return DataKey(self.open(box, b"key|" + place))


class MasterKey(DataKey):
    """The outermost key; also keys the blind indices."""

    __slots__ = ("_index_key",)

    def __init__(self, raw: bytes) -> None:
        """raw: 32 bytes."""
        super().__init__(raw)
        self._index_key = hmac.digest(raw, b"homestretch blind index v1", "sha256")

    @classmethod
    def from_file(cls, path: Path, *, create: bool = False) -> MasterKey:
        """Read 64 hex digits; with `create`, make the file (0600) if it is missing."""
        if create and not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make_key_file(path)
        try:
            return cls(bytes.fromhex(path.read_text().strip()))
        except FileNotFoundError:
            raise CryptoError(f"the master key {path} does not exist") from None
        except ValueError:
            raise CryptoError(f"the master key {path} is not 64 hex digits") from None

    def index(self, kind: str, value: str | bytes) -> bytes:
        """Blind index, 32 bytes: equal values of one kind match, nothing else can be learned without the key.

        Text is compared trimmed and case-folded.
        """
        data = value.strip().casefold().encode() if isinstance(value, str) else value
        return hmac.digest(self._index_key, kind.encode() + b"\x00" + data, hashlib.sha256)


def _make_key_file(path: Path) -> None:
    """Write beside it and link into place: nobody reads half a key, and of two processes at once one is the first."""
    fresh = path.with_name(f"{path.name}.{uuid4()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(os.urandom(KEY_BYTES).hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(fresh)
    finally:
        fresh.unlink()


def tenant_place(tenant: UUID, what: str) -> bytes:
    """Associated data of something of a tenant."""
    return f"{tenant}|{what}".encode()


def patient_place(tenant: UUID, patient: UUID, what: str) -> bytes:
    """Associated data of something of a patient."""
    return f"{tenant}|{patient}|{what}".encode()
