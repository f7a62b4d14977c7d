"""Sign-in, sign-out, and the start page of each role."""

from __future__ import annotations

from time import monotonic
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import RedirectResponse, Response

from rtm_server import audit
from rtm_server.web.policy import Action, Role, allow
from rtm_server.web.services import Services, Svc

router = APIRouter()

WRONG = "Email or password is not right."

_USER = """
SELECT user_id, role, password_hash FROM app_user
WHERE tenant_id = %s AND user_id = %s AND disabled_at IS NULL
"""
_REHASH = "UPDATE app_user SET password_hash = %s WHERE tenant_id = %s AND user_id = %s"


class SignIn(BaseModel):
    """The form. Lengths bound the work before anything is hashed."""

    model_config = ConfigDict(extra="forbid")

    email: Annotated[str, Field(min_length=1, max_length=254)]
    password: Annotated[str, Field(min_length=1, max_length=256)]
    next: Annotated[str, Field(max_length=500)] = "/"


def cookie_name(services: Services) -> str:
    """`__Host-` needs https; on loopback over http the plain name."""
    return "__Host-rtm" if services.settings.https else "rtm"


def safe_path(target: str) -> str:
    """A path of this site, or the start page: `//evil`, `/\\evil`, schemes, control characters are none."""
    plain = all(32 < ord(character) < 127 for character in target)
    if plain and target.startswith("/") and not target.startswith("//") and "\\" not in target:
        return target
    return "/"


@router.get("/sign-in")
@allow(Action.PUBLIC)
def show(request: Request, svc: Svc, next: str = "/") -> Response:  # noqa: A002 - the name in the address
    """The form."""
    return svc.pages.render(request, "sign_in.html", {"error": None, "email": "", "next": safe_path(next)})


@router.post("/sign-in")
@allow(Action.PUBLIC)
def sign_in(request: Request, svc: Svc, form: Annotated[SignIn, Form()]) -> Response:
    """Check the password; the same work and the same words whether or not the user exists."""
    address = request.client.host if request.client else ""
    account = svc.store.master.index("login", form.email).hex()
    wait = svc.throttle.wait_s(account, address, monotonic())
    if wait:
        return _again(request, svc, form, f"Too many tries. Please wait {wait} seconds.", 429, wait)
    found = svc.store.lookup("login", form.email)
    user = None
    if found is not None:
        tenant, subject = found
        with svc.store.tenant_tx(tenant) as tx:
            user = tx.execute(_USER, (tenant, subject)).fetchone()
    stored = user["password_hash"] if user is not None else None
    right = svc.passwords.matches(stored, form.password)
    if not right or found is None or user is None:
        svc.throttle.failed(account, address, monotonic())
        if found is not None:
            _note(svc, found[0], found[1], "sign_in_failed")
        return _again(request, svc, form, WRONG, 403)
    svc.throttle.succeeded(account)
    svc.sessions.close(request.cookies.get(cookie_name(svc), ""))  # a session never survives a sign-in
    with svc.store.tenant_tx(tenant) as tx:
        if svc.passwords.outdated(user["password_hash"]):
            tx.execute(_REHASH, (svc.passwords.hash(form.password), tenant, subject))
        token = svc.sessions.open(tx, tenant, subject, Role(user["role"]), svc.now())
        audit.append(tx, tenant, "sign_in", actor=subject, subject=subject)
    response = RedirectResponse(safe_path(form.next), status_code=303)
    response.set_cookie(
        cookie_name(svc),
        token,
        max_age=svc.settings.session_hours * 3600,
        path="/",
        secure=svc.settings.https,
        httponly=True,
        samesite="lax",
    )
    return response


@router.post("/sign-out")
@allow(Action.PUBLIC)
def sign_out(request: Request, svc: Svc) -> Response:
    """End the session; also when it had ended already."""
    svc.sessions.close(request.cookies.get(cookie_name(svc), ""))
    response = RedirectResponse("/sign-in", status_code=303)
    response.delete_cookie(
        cookie_name(svc), path="/", secure=svc.settings.https, httponly=True, samesite="lax"
    )
    return response


def _note(svc: Services, tenant: UUID, user: UUID, action: str) -> None:
    with svc.store.tenant_tx(tenant) as tx:
        audit.append(tx, tenant, action, subject=user)


def _again(
    request: Request, svc: Services, form: SignIn, sentence: str, status: int, wait: int | None = None
) -> Response:
    values = {"error": sentence, "email": form.email, "next": safe_path(form.next)}
    response = svc.pages.render(request, "sign_in.html", values, status)
    if wait is not None:
        response.headers["retry-after"] = str(wait)
    return response
