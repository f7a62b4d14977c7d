"""Is it alive, is it ready, which version. No sign-in, no details, nothing personal."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from fastapi import APIRouter
from starlette.responses import JSONResponse, PlainTextResponse, Response

from rtm_server.errors import ServerError
from rtm_server.web.policy import Action, allow
from rtm_server.web.services import Svc

router = APIRouter()


@router.get("/livez")
@allow(Action.PUBLIC)
def livez() -> Response:
    """This process answers."""
    return PlainTextResponse("ok\n")


@router.get("/readyz")
@allow(Action.PUBLIC)
def readyz(svc: Svc) -> Response:
    """The database answers too."""
    try:
        svc.store.tenants()
    except ServerError:
        return PlainTextResponse("the database does not answer\n", status_code=503)
    return PlainTextResponse("ok\n")


@router.get("/version")
@allow(Action.PUBLIC)
def version_of() -> Response:
    """The version of the distribution."""
    try:
        return JSONResponse({"version": version("homestretch")})
    except PackageNotFoundError:
        return JSONResponse({"version": "unknown"})


@router.get("/static/{digest}/{name}")
@allow(Action.PUBLIC)
def static(svc: Svc, digest: str, name: str) -> Response:
    """A style sheet, a script or an image."""
    return svc.static.response(digest, name)


@router.get("/favicon.ico", include_in_schema=False)
@allow(Action.PUBLIC)
def favicon(svc: Svc) -> Response:
    """For browsers that ask here whatever the page says."""
    return svc.static.response(svc.static.version, "favicon.svg")
