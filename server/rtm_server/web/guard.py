"""What every request passes first: own origin for changes, a bounded body, and headers that fail closed.

Pure ASGI, so streams (server-sent events) pass through untouched.
"""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from traceback import extract_tb
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS: Mapping[str, str] = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",  # ids stay at home
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "x-frame-options": "DENY",
}


def own_origin(headers: Mapping[str, str], *, scheme: str) -> bool:
    """Whether an unsafe request comes from a page of ours.

    Browsers send `Sec-Fetch-Site` on trustworthy origins (https and loopback) and `Origin` with every POST;
    when both are missing the request is refused: a browser form always carries one.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = headers.get("origin")
    if origin is None or origin == "null":
        return False
    parts = urlsplit(origin)
    return parts.scheme == scheme and parts.netloc == headers.get("host", "")


# A payer's remittance is the one file people send us; a large practice's month is a few hundred kilobytes.
UPLOADS = re.compile(r"/billing/\d{4}-\d{2}/responses")
UPLOAD_BODY = 4_000_000


@dataclass(frozen=True)
class Guard:
    """ASGI middleware. `max_body` in bytes; no form of ours comes near it."""

    app: ASGIApp
    max_body: int = 65_536
    https: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}

        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                present = {key.lower() for key, _ in message["headers"]}
                extra = dict(HEADERS)
                extra["cache-control"] = "no-store"
                if self.https:
                    extra["strict-transport-security"] = "max-age=31536000"
                message["headers"] = [
                    *message["headers"],
                    *(
                        (key.encode(), value.encode())
                        for key, value in extra.items()
                        if key.encode() not in present
                    ),
                ]
            await send(message)

        if scope["method"] not in SAFE_METHODS and not own_origin(
            headers, scheme="https" if self.https else scope["scheme"]
        ):
            await _refuse(send_with_headers, 403, "This form did not come from a page of this site.")
            return
        length = headers.get("content-length", "0")
        limit = UPLOAD_BODY if UPLOADS.fullmatch(scope["path"]) else self.max_body
        if not length.isdigit() or int(length) > limit:
            await _refuse(send_with_headers, 413, "This request is too large.")
            return
        try:
            await self.app(scope, _bounded(receive, limit), send_with_headers)
        except Exception as error:  # whatever it was, its message may hold what nobody should read in a log
            log.error("a request failed: %s at %s", type(error).__name__, _where(error))  # noqa: TRY400 - as above
            if not started:
                await _refuse(send_with_headers, 500, "Something went wrong. Nothing was changed.")


def _bounded(receive: Receive, limit: int) -> Callable[[], Awaitable[Message]]:
    """Cut a body that lies about its length: what lies beyond the limit is never read."""
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > limit:
                return {"type": "http.disconnect"}
        return message

    return bounded


def _where(error: Exception) -> str:
    """File and line of the innermost frames, without values."""
    return " < ".join(
        f"{Path(f.filename).name}:{f.lineno}" for f in reversed(extract_tb(error.__traceback__)[-4:])
    )


async def _refuse(send: Send, status: int, sentence: str) -> None:
    body = sentence.encode()
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", str(len(body)).encode()),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})
