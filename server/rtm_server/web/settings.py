"""What only the pages need, on top of the server's settings."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from rtm_server.settings import Settings


class WebSettings(Settings):
    """One object of `rtm serve`.

    https: the pages are reached over https (a proxy ends it): `__Host-` cookie, Secure, HSTS.
    allowed_hosts: host names a request may ask for; anything else is answered 400.
    trusted_proxies: addresses whose X-Forwarded-For and -Proto are believed; none by default.
    session_idle_minutes: staff are signed out after so long without a request.
    patient_session_idle_minutes: the same for patients, whose set may run on the table beside them.
    session_hours: nobody stays signed in longer than this.
    streams_per_user: live streams one person may hold open.
    """

    https: bool = False
    allowed_hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
    trusted_proxies: tuple[str, ...] = ()
    session_idle_minutes: int = Field(default=15, ge=1, le=480)
    patient_session_idle_minutes: int = Field(default=240, ge=1, le=720)
    session_hours: int = Field(default=12, ge=1, le=24)
    streams_per_user: int = Field(default=5, ge=1, le=50)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The pages' settings: what is set already stays, the rest from environment and file."""
        return settings if isinstance(settings, cls) else cls(**settings.model_dump())
