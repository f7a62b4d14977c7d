"""The application: modules side by side, one guard before them, one refusal page after them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import quote

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import RedirectResponse, Response

from rtm_server.enrol import password_hasher
from rtm_server.errors import ServerError
from rtm_server.settings import Settings
from rtm_server.store import Store
from rtm_server.web import errors, health, wording
from rtm_server.web.billing import claims_endpoints as claims
from rtm_server.web.billing import corrections_page as corrections
from rtm_server.web.billing import endpoints as billing
from rtm_server.web.billing import line_endpoints as claim_line
from rtm_server.web.commands import NoSender, Sender
from rtm_server.web.enrolment import devices, record
from rtm_server.web.enrolment import endpoints as enrolment
from rtm_server.web.guard import Guard
from rtm_server.web.identity import endpoints as identity
from rtm_server.web.identity.passwords import Passwords
from rtm_server.web.identity.sessions import Sessions
from rtm_server.web.identity.throttle import Throttle
from rtm_server.web.live import LiveHub
from rtm_server.web.patient import endpoints as patient
from rtm_server.web.policy import Action, declared, enforce
from rtm_server.web.practice import endpoints as practice
from rtm_server.web.rendering import Pages, StaticFiles
from rtm_server.web.services import Services
from rtm_server.web.settings import WebSettings
from rtm_server.web.today import calibration
from rtm_server.web.today import endpoints as today
from rtm_server.web.worklist import endpoints as worklist


def create_app(
    settings: Settings,
    store: Store,
    *,
    hub: LiveHub | None = None,
    commands: Sender | None = None,
    passwords: Passwords | None = None,
    now: Callable[[], datetime] = wording.now_utc,
) -> FastAPI:
    """The pages over a store.

    hub: newest live counts; commands: how Start and Stop reach a gateway (none: the page says so).
    now: the one clock, aware UTC.
    """
    web = WebSettings.of(settings)
    static = StaticFiles()
    app = FastAPI(
        title="Homestretch",
        openapi_url=None,  # off: it would describe the house to whoever asks
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(_who), Depends(enforce)],
    )
    app.state.services = Services(
        settings=web,
        store=store,
        static=static,
        pages=Pages(static),
        passwords=passwords or Passwords(password_hasher()),
        sessions=Sessions(
            store,
            idle=timedelta(minutes=web.session_idle_minutes),
            patient_idle=timedelta(minutes=web.patient_session_idle_minutes),
            absolute=timedelta(hours=web.session_hours),
        ),
        throttle=Throttle(),
        hub=hub or LiveHub(),
        commands=commands or NoSender(),
        now=now,
    )
    for module in (
        health,
        identity,
        worklist,
        enrolment,
        devices,
        record,
        patient,
        today,
        calibration,
        practice,
        corrections,
        billing,
        claim_line,
        claims,
    ):
        app.include_router(module.router)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(web.allowed_hosts), www_redirect=False)
    app.add_middleware(Guard, https=web.https)
    app.add_exception_handler(errors.PageError, _refusal)
    app.add_exception_handler(ServerError, _not_reachable)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _plain_http)
    return app


def _who(request: Request) -> None:
    """Find the actor once per request; a public route is not worth a look-up."""
    request.state.actor = None
    if declared(request.scope["route"]) is Action.PUBLIC:
        return
    services: Services = request.app.state.services
    token = request.cookies.get(identity.cookie_name(services), "")
    if token:
        request.state.actor = services.sessions.find(token, services.now())


def _page(request: Request, error: errors.PageError) -> Response:
    services: Services = request.app.state.services
    if not hasattr(request.state, "actor"):
        request.state.actor = None
    values = {"title": error.title, "sentence": error.sentence}
    response = services.pages.render(request, "error.html", values, error.status)
    if isinstance(error, errors.TooManyError):
        response.headers["retry-after"] = str(error.retry_after_s)
    return response


def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.PageError)  # noqa: S101 - what this handler is registered for
    if isinstance(error, errors.SignInNeededError) and request.method in {"GET", "HEAD"}:
        return RedirectResponse(f"/sign-in?next={quote(request.url.path)}", status_code=303)
    return _page(request, error)


def _not_reachable(request: Request, _error: Exception) -> Response:
    return _page(request, errors.UnavailableError())


def _invalid(request: Request, _error: Exception) -> Response:
    """A path that is no id is an unknown page, a form that is none is refused; neither echoes what came."""
    unsafe = request.method not in {"GET", "HEAD"}
    return _page(request, errors.InvalidError() if unsafe else errors.NotFoundError())


def _plain_http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 404:
        return _page(request, errors.NotFoundError())
    refusal = errors.PageError("This address does not take that kind of request.")
    refusal.status, refusal.title = status, "Not possible"
    return _page(request, refusal)
