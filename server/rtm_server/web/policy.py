"""Who may do what: one table, one function, and a dependency that refuses whatever declares nothing.

Every endpoint declares exactly one `Action` with `@allow(...)`. `enforce` is a dependency of the whole
application, so an endpoint that forgot to declare one answers 403 to everybody; a test walks the routes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

from fastapi import Request
from starlette.routing import BaseRoute

from rtm_server.web.errors import ForbiddenError, SignInNeededError


class Role(StrEnum):
    """The three people."""

    THERAPIST = "therapist"
    PATIENT = "patient"
    BILLING = "billing"


class Action(StrEnum):
    """What a route lets one do. `PUBLIC` needs no sign-in."""

    PUBLIC = "public"
    HOME = "home"
    PATIENT_READ = "patient_read"
    PATIENT_WRITE = "patient_write"
    ENROL = "enrol"
    OWN_DAY = "own_day"
    BILLING_READ = "billing_read"
    BILLING_RELEASE = "billing_release"


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever is signed in. `patient` is set for the role patient and only then."""

    tenant: UUID
    user: UUID
    role: Role
    name: str
    patient: UUID | None = None


_ALLOWED: dict[Role, frozenset[Action]] = {
    Role.THERAPIST: frozenset({Action.HOME, Action.PATIENT_READ, Action.PATIENT_WRITE, Action.ENROL}),
    Role.PATIENT: frozenset({Action.HOME, Action.OWN_DAY}),
    Role.BILLING: frozenset({Action.HOME, Action.BILLING_READ, Action.BILLING_RELEASE}),
}


def can(actor: Actor | None, action: Action) -> bool:
    """The one place that answers. Which rows an actor sees is a matter of tenant and repository."""
    if action is Action.PUBLIC:
        return True
    return actor is not None and action in _ALLOWED[actor.role]


Endpoint = TypeVar("Endpoint", bound=Callable[..., object])


def allow(action: Action) -> Callable[[Endpoint], Endpoint]:
    """Declare an endpoint's action."""

    def declare(endpoint: Endpoint) -> Endpoint:
        endpoint.__rtm_action__ = action  # type: ignore[attr-defined]  # a mark on a function
        return endpoint

    return declare


def declared(route: BaseRoute) -> Action | None:
    """The action of a route, or None when it forgot to declare one."""
    action = getattr(getattr(route, "endpoint", None), "__rtm_action__", None)
    return action if isinstance(action, Action) else None


def enforce(request: Request) -> None:
    """Dependency of every route: who is not allowed gets no further."""
    action = declared(request.scope["route"])
    actor: Actor | None = request.state.actor
    if action is not None and can(actor, action):
        return
    if actor is None and action is not None:
        raise SignInNeededError
    raise ForbiddenError
