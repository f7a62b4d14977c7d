"""The status page on the local network: one page, one form, a style sheet. Off unless RTM_STATUS_PORT is set.

A small HTTP/1.1 server of its own, since a gateway carries no web framework: it reads at most 8 KiB, answers once and
closes. There is no TLS in a home without names: the page therefore names nobody and no exercise.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import ipaddress
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qs

from rtm_gateway.pairing import COOKIE_S, Pairing
from rtm_gateway.status_words import Line

_log = logging.getLogger(__name__)

COOKIE: Final = "rtm_status"
_HEAD_BYTES: Final = 8192
_BODY_BYTES: Final = 256
_PATIENCE_S: Final = 10.0
_AT_ONCE: Final = 32
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Connection": "close",
}
_STYLE: Final = """\
body { font: 1.75rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem;
  color: #1b1b1b; background: #fff; }
h1 { font-size: 2.25rem; }
li { list-style: none; margin: 1rem 0; padding: 1rem; border-left: .5rem solid #14663a; background: #eef6f0; }
li.look { border-color: #a33a00; background: #fdf0e8; }
ul { padding: 0; }
input, button { font: inherit; padding: .75rem; width: 100%; box-sizing: border-box; margin: .5rem 0;
  border: 2px solid #1b1b1b; border-radius: .5rem; }
button { background: #0b4f8a; color: #fff; }
"""


_CLASS: Final = {True: "good", False: "look"}


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Answer:
    status: HTTPStatus
    body: str = ""
    kind: str = "text/html; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)


class _BadRequestError(Exception):
    """What came is no request that is answered here."""


class StatusPage:
    """The page. `lines` is asked at each view, in a thread: it may read the outbox.

    host: loopback unless the owner says otherwise. port 0: any, `port` then tells which.
    """

    def __init__(self, host: str, port: int, pairing: Pairing, lines: Callable[[], Sequence[Line]]) -> None:
        self._host = host
        self._asked_port = port
        self._pairing = pairing
        self._lines = lines
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._server is None:
            return self._asked_port
        return int(self._server.sockets[0].getsockname()[1])

    async def open(self) -> None:
        """Listen. Raises OSError."""
        self._server = await asyncio.start_server(
            self._serve, self._host, self._asked_port, limit=_HEAD_BYTES
        )

    async def run(self) -> None:
        """Serve until cancelled. A port that is taken costs the page, never the recording."""
        try:
            await self.open()
        except OSError as error:
            _log.error("the status page cannot listen on port %d: %s", self._asked_port, error.strerror)
            return
        _log.info("the status page is at http://%s:%d/", self._host, self.port)
        print(
            f"Status page: http://{self._host}:{self.port}/  Pairing code: {self._pairing.shown}", flush=True
        )
        try:
            await asyncio.Event().wait()
        finally:
            self.close()

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._places.locked():
                return
            async with self._places, asyncio.timeout(_PATIENCE_S):
                try:
                    answer = await self._answer(await _read(reader))
                except _BadRequestError:
                    answer = _page(HTTPStatus.BAD_REQUEST, "<h1>This is not a page of this box.</h1>")
                writer.write(_bytes(answer))
                await writer.drain()
        except (TimeoutError, OSError):
            _log.debug("a browser left")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, request: _Request) -> _Answer:
        if not _own_name(request.headers.get("host", "")):
            raise _BadRequestError
        match request.method, request.path:
            case "GET", "/style.css":
                return _Answer(HTTPStatus.OK, _STYLE, "text/css; charset=utf-8")
            case "GET", "/":
                if not self._known(request):
                    return _form(HTTPStatus.OK)
                return _status(await asyncio.to_thread(self._lines))
            case "POST", "/pair":
                return self._pair(request)
            case (("GET" | "POST"), _):
                return _page(
                    HTTPStatus.NOT_FOUND, '<h1>There is no such page.</h1><p><a href="/">Back</a></p>'
                )
        return _page(HTTPStatus.METHOD_NOT_ALLOWED, "<h1>This is not possible.</h1>")

    def _known(self, request: _Request) -> bool:
        try:
            cookie = SimpleCookie(request.headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and self._pairing.knows(cookie.value)

    def _pair(self, request: _Request) -> _Answer:
        origin = request.headers.get("origin")
        if origin is not None and origin != f"http://{request.headers.get('host')}":
            raise _BadRequestError
        try:
            code = parse_qs(request.body.decode("ascii")).get("code", [""])[0]
        except (UnicodeDecodeError, ValueError):
            raise _BadRequestError from None
        match self._pairing.try_code(code):
            case True:
                cookie = f"{COOKIE}={self._pairing.cookie()}; HttpOnly; SameSite=Strict; Path=/; Max-Age={COOKIE_S}"
                return _Answer(HTTPStatus.SEE_OTHER, headers={"Location": "/", "Set-Cookie": cookie})
            case False:
                return _form(HTTPStatus.FORBIDDEN, "This is not the code. Please look at it again.")
        return _form(HTTPStatus.TOO_MANY_REQUESTS, "Too many attempts. Please wait a minute.")


async def _read(reader: asyncio.StreamReader) -> _Request:
    """One request. Raises _BadRequestError for anything but a plain one."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise _BadRequestError from error
    first, *rest = head.split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise _BadRequestError
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)
    }
    length = headers.get("content-length", "0")
    if (
        "transfer-encoding" in headers
        or not (length.isascii() and length.isdigit())
        or int(length) > _BODY_BYTES
    ):
        raise _BadRequestError
    try:
        body = await reader.readexactly(int(length))
    except asyncio.IncompleteReadError as error:
        raise _BadRequestError from error
    return _Request(parts[0], parts[1].partition("?")[0], headers, body)


def _own_name(host: str) -> bool:
    """An address, localhost or this machine's own name: a foreign name that points here is DNS rebinding."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    own = socket.gethostname().lower()
    if name.lower() in ("localhost", own, f"{own}.local"):
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _status(lines: Sequence[Line]) -> _Answer:
    rows = "".join(f'<li class="{_CLASS[line.good]}">{html.escape(line.text)}</li>' for line in lines)
    return _page(HTTPStatus.OK, f"<h1>Your sensors</h1><ul>{rows}</ul>", refresh=True)


def _form(status: HTTPStatus, problem: str = "") -> _Answer:
    said = f'<p role="alert">{html.escape(problem)}</p>' if problem else ""
    return _page(
        status,
        f'<h1>Pairing code</h1>{said}<form method="post" action="/pair"><label for="code">Eight digits, shown when'
        ' the box was set up</label><input id="code" name="code" inputmode="numeric" autocomplete="off" required'
        ' maxlength="12"><button>Show the status</button></form>',
    )


def _page(status: HTTPStatus, main: str, *, refresh: bool = False) -> _Answer:
    again = '<meta http-equiv="refresh" content="10">' if refresh else ""
    return _Answer(
        status,
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Status</title>'
        f'<meta name="viewport" content="width=device-width">{again}<link rel="stylesheet" href="/style.css">'
        f"</head><body><main>{main}</main></body></html>",
    )


def _bytes(answer: _Answer) -> bytes:
    body = answer.body.encode()
    headers = {**_HEADERS, "Content-Type": answer.kind, "Content-Length": str(len(body)), **answer.headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {answer.status.value} {answer.status.phrase}\r\n{head}\r\n".encode() + body
