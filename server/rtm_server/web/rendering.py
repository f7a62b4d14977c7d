"""The Jinja environment and the static files with their content in their name."""

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import PurePosixPath

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from rtm_server.web import charts, wording
from rtm_server.web.errors import NotFoundError

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class StaticFiles:
    """Package data under `/static/{hash}/{name}`: new content has a new address, so each may be kept.

    The hash covers all files together, because an ES module imports its neighbours by relative address.
    """

    def __init__(self) -> None:
        folder = files("rtm_server.web") / "static"
        self._content = {item.name: item.read_bytes() for item in folder.iterdir() if item.is_file()}
        digest = hashlib.sha256()
        for name, body in sorted(self._content.items()):
            digest.update(name.encode() + b"\0" + body)
        self.version = digest.hexdigest()[:12]

    def url(self, name: str) -> str:
        """Address of a file; an unknown name is a mistake in a template."""
        if name not in self._content:
            raise KeyError(name)
        return f"/static/{self.version}/{name}"

    def response(self, version: str, name: str) -> Response:
        """The file, immutable under its own version, uncached under another (an old page's)."""
        body = self._content.get(name)
        if body is None:
            raise NotFoundError
        caching = "public, max-age=31536000, immutable" if version == self.version else "no-store"
        media_type = MEDIA_TYPES[PurePosixPath(name).suffix]
        return Response(body, media_type=media_type, headers={"cache-control": caching})


class Pages:
    """Renders templates. Autoescape is on for every one of them; no template may switch it off (tested)."""

    def __init__(self, static: StaticFiles) -> None:
        self.environment = Environment(
            loader=PackageLoader("rtm_server.web", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.environment.globals.update(static=static.url, chart=charts, plural=wording.plural)
        self.environment.filters.update(
            day=wording.day,
            full_day=wording.full_day,
            month_name=wording.month_name,
            ago=wording.ago,
            local_day=wording.local_day,
            clock_time=wording.clock_time,
            as_of=wording.as_of,
            whole=wording.whole,
            sentence=wording.sentence,
            sentence_of=wording.sentence_of,
            code_words=wording.code_words,
            exercise_name=wording.exercise_name,
            plain_exercise=wording.plain_exercise,
            cue=wording.cue,
            position=wording.position,
            place_words=wording.place_words,
        )

    def render(
        self, request: Request, template: str, values: Mapping[str, object], status: int = 200
    ) -> HTMLResponse:
        """A page. `actor` (who is signed in) and `path` stand ready for the frame around it."""
        actor = getattr(request.state, "actor", None)
        text = self.environment.get_template(template).render(
            {"actor": actor, "path": request.url.path, **values}
        )
        return HTMLResponse(text, status_code=status)
