"""Argon2id, with the same work for a user who does not exist."""

import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MAX_LENGTH = 256  # characters; more is refused before hashing, so a long password costs nobody anything


class Passwords:
    """Hashes and checks passwords. The default is RFC 9106's low-memory choice."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._dummy = self._hasher.hash(secrets.token_urlsafe(16))

    def hash(self, password: str) -> str:
        """The encoded argon2id hash of a new password."""
        return self._hasher.hash(password)

    def matches(self, stored: str | None, password: str) -> bool:
        """True when the password is the one. `stored` None (no such user) takes as long and is False."""
        if len(password) > MAX_LENGTH:
            return False
        try:
            self._hasher.verify(stored or self._dummy, password)
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None

    def outdated(self, stored: str) -> bool:
        """Whether the parameters have moved on since it was stored; then hash again at the next sign-in."""
        return self._hasher.check_needs_rehash(stored)
