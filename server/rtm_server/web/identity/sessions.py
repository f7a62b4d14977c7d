"""Sessions on the server: the browser holds 256 random bits, the store their hash."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from uuid import UUID

from rtm_server.enrol import user_name
from rtm_server.store import Store, Tx
from rtm_server.web.policy import Actor, Role

TOKEN_BYTES = 32
TOUCH_EVERY = timedelta(seconds=30)  # a page that loads ten parts writes once

_OPEN = """
INSERT INTO session (tenant_id, token_hash, user_id, created_at, last_seen_at, idle_expires_at,
                     absolute_expires_at)
VALUES (%(tenant)s, %(hash)s, %(user)s, %(now)s, %(now)s, %(idle)s, %(absolute)s)
"""
_FIND = """
SELECT s.last_seen_at, s.absolute_expires_at, u.user_id, u.role, u.patient_id, u.name_enc
FROM session s JOIN app_user u ON u.tenant_id = s.tenant_id AND u.user_id = s.user_id
WHERE s.tenant_id = %(tenant)s AND s.token_hash = %(hash)s AND u.disabled_at IS NULL
  AND s.idle_expires_at > %(now)s AND s.absolute_expires_at > %(now)s
"""
_TOUCH = """
UPDATE session SET last_seen_at = %(now)s, idle_expires_at = least(%(idle)s, absolute_expires_at)
WHERE tenant_id = %(tenant)s AND token_hash = %(hash)s
"""
_CLOSE = "DELETE FROM session WHERE tenant_id = %(tenant)s AND token_hash = %(hash)s"


# Sessions of the user that have ended, and their way in once no other is left.
_TIDY = """
DELETE FROM session
WHERE tenant_id = %(tenant)s AND user_id = %(user)s
  AND (idle_expires_at <= %(now)s OR absolute_expires_at <= %(now)s)
"""
_TIDY_DIRECTORY = """
DELETE FROM directory WHERE tenant_id = %(tenant)s AND kind = 'session' AND subject_id = %(user)s
  AND NOT EXISTS (SELECT 1 FROM session WHERE tenant_id = %(tenant)s AND user_id = %(user)s)
"""


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


class Sessions:
    """Opens, finds and closes sessions. Times are aware UTC, handed in."""

    def __init__(
        self, store: Store, *, idle: timedelta, patient_idle: timedelta, absolute: timedelta
    ) -> None:
        self._store = store
        self._idle = {Role.THERAPIST: idle, Role.BILLING: idle, Role.PATIENT: patient_idle}
        self._absolute = absolute

    def open(self, tx: Tx, tenant: UUID, user: UUID, role: Role, now: datetime) -> str:
        """A new session; returns the token, which is stored nowhere."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        for tidy in (_TIDY, _TIDY_DIRECTORY):
            tx.execute(tidy, {"tenant": tenant, "user": user, "now": now})
        tx.execute(
            _OPEN,
            {
                "tenant": tenant,
                "hash": _hash(token),
                "user": user,
                "now": now,
                "idle": now + self._idle[role],
                "absolute": now + self._absolute,
            },
        )
        self._store.register(tx, tenant, "session", token.encode(), user)
        return token

    def find(self, token: str, now: datetime, *, touch: bool = True) -> Actor | None:
        """Who holds this token, while the session lives. A stream (`touch` False) does not keep it alive."""
        if not token or len(token) > 128:
            return None
        found = self._store.lookup("session", token.encode())
        if found is None:
            return None
        tenant, _ = found
        with self._store.tenant_tx(tenant) as tx:
            row = tx.execute(_FIND, {"tenant": tenant, "hash": _hash(token), "now": now}).fetchone()
            if row is None:
                return None
            role = Role(row["role"])
            if touch and now - row["last_seen_at"] > TOUCH_EVERY:
                idle = now + self._idle[role]
                tx.execute(_TOUCH, {"tenant": tenant, "hash": _hash(token), "now": now, "idle": idle})
            return Actor(
                tenant=tenant,
                user=row["user_id"],
                role=role,
                name=user_name(self._store, tx, tenant, row["user_id"], row["name_enc"]),
                patient=row["patient_id"],
            )

    def close(self, token: str) -> None:
        """End a session; an unknown token is no error."""
        found = self._store.lookup("session", token.encode()) if token else None
        if found is None:
            return
        tenant, _ = found
        with self._store.tenant_tx(tenant) as tx:
            tx.execute(_CLOSE, {"tenant": tenant, "hash": _hash(token)})
            self._store.unregister(tx, tenant, "session", token.encode())
