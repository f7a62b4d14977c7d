"""Errors of the server: the message is one plain sentence that may be shown to whoever runs it."""

from __future__ import annotations


class ServerError(Exception):
    """Something the operator can act on; names no patient."""


class DatabaseError(ServerError):
    """The database is not there, not migrated or not safe to use."""


class WrongAddress(DatabaseError):  # noqa: N818 - reads as a sentence where it is caught
    """What should name the database cannot be read: waiting does not help. The text is not shown, it has a password."""


class CryptoError(ServerError):
    """A key is missing, or ciphertext does not belong to its place."""


class ErasedError(CryptoError):
    """The patient's key was dropped: what it sealed cannot be read by anybody, and need not be."""
