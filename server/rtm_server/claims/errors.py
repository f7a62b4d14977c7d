"""What a claim, an export or a payer's answer may be refused for: one plain sentence, no patient in it."""

from __future__ import annotations

from rtm_server.errors import ServerError


class ClaimsError(ServerError):
    """Something that cannot be done with a claim, a line or an answer."""


class NotAllowedError(ClaimsError):
    """The person may not do this."""


class ConflictError(ClaimsError):
    """Somebody else was first, or the line has moved on."""
