"""What endpoints are given: one object, built once by the app factory, handed in by two dependencies."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, cast

from fastapi import Depends, Request

from rtm_server.store import Store
from rtm_server.web.commands import Sender
from rtm_server.web.identity.passwords import Passwords
from rtm_server.web.identity.sessions import Sessions
from rtm_server.web.identity.throttle import Throttle
from rtm_server.web.live import LiveHub
from rtm_server.web.policy import Actor
from rtm_server.web.rendering import Pages, StaticFiles
from rtm_server.web.settings import WebSettings


@dataclass(frozen=True)
class Services:
    """Everything an endpoint may reach. `now` is the one clock."""

    settings: WebSettings
    store: Store
    static: StaticFiles
    pages: Pages
    passwords: Passwords
    sessions: Sessions
    throttle: Throttle
    hub: LiveHub
    commands: Sender
    now: Callable[[], datetime]


def services(request: Request) -> Services:
    """The services of this application."""
    return cast(Services, request.app.state.services)


def actor(request: Request) -> Actor:
    """Whoever is signed in; `policy.enforce` has let nobody else come this far."""
    return cast(Actor, request.state.actor)


Svc = Annotated[Services, Depends(services)]
Who = Annotated[Actor, Depends(actor)]
