"""Passwords, sessions, throttling, policies: nobody sees anything without signing in."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from fastapi.routing import APIRoute
from hypothesis import given
from hypothesis import strategies as st

from rtm_server.errors import ServerError
from rtm_server.store import Store
from rtm_server.web import serve
from rtm_server.web.guard import own_origin
from rtm_server.web.identity.endpoints import safe_path
from rtm_server.web.identity.passwords import Passwords
from rtm_server.web.identity.sessions import Sessions
from rtm_server.web.identity.throttle import FREE_TRIES, LONGEST_WAIT_S, Throttle
from rtm_server.web.policy import Action, Actor, Role, can, declared
from rtm_server.web.settings import WebSettings
from rtm_server.web.testing import NOW, PASSWORD, House

QUICK = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


def routes(app: FastAPI) -> list[APIRoute]:
    """Every endpoint, those of included routers too."""
    found: list[APIRoute] = []
    waiting = list(app.routes)
    while waiting:
        route = waiting.pop()
        if isinstance(route, APIRoute):
            found.append(route)
        nested = getattr(route, "routes", None) or getattr(
            getattr(route, "original_router", None), "routes", []
        )
        waiting += list(nested)
    return found


def sign_in(client: httpx.Client, login: str, password: str = PASSWORD, **form: str) -> httpx.Response:
    return client.post("/sign-in", data={"email": login, "password": password, **form})


def test_every_route_declares_a_policy(app: FastAPI) -> None:
    table = {f"{sorted(route.methods or ())} {route.path}": declared(route) for route in routes(app)}
    assert len(table) > 20
    assert [path for path, action in table.items() if action is None] == []


def test_an_undeclared_route_is_refused(app: FastAPI, address: str, house: House) -> None:
    """The negative control: whoever forgets the policy opens nothing."""

    @app.get("/forgotten")
    def forgotten() -> str:
        return "secret"

    with httpx.Client(base_url=address, headers={"sec-fetch-site": "same-origin"}, trust_env=False) as client:
        assert client.get("/forgotten").status_code == 403
        sign_in(client, house.therapist)
        response = client.get("/forgotten")
        assert response.status_code == 403
        assert "secret" not in response.text


def test_signed_out_visitors_see_the_sign_in_page_only(app: FastAPI, client: httpx.Client) -> None:
    values = {"patient": str(uuid4()), "recording": str(uuid4()), "entry": str(uuid4()), "month": "2026-11"}
    for route in routes(app):
        if declared(route) is Action.PUBLIC:
            continue
        path = re.sub(r"{(\w+)}", lambda found: values.get(found[1], "x"), route.path)
        for method in (route.methods or set()) - {"HEAD"}:
            response = client.request(method, path)
            if method == "GET":
                assert response.status_code == 303, path
                assert response.headers["location"].startswith("/sign-in?next="), path
            else:
                assert response.status_code in {401, 422}, path
                assert "sign" in response.text.lower() or response.status_code == 422


@pytest.mark.parametrize("role", list(Role))
def test_a_role_can_do_its_own_things_only(role: Role) -> None:
    who = Actor(uuid4(), uuid4(), role, "Somebody", uuid4() if role is Role.PATIENT else None)
    allowed = {action for action in Action if can(who, action)} - {Action.PUBLIC, Action.HOME}
    assert (
        allowed
        == {
            Role.THERAPIST: {Action.PATIENT_READ, Action.PATIENT_WRITE, Action.ENROL},
            Role.PATIENT: {Action.OWN_DAY},
            Role.BILLING: {Action.BILLING_READ, Action.BILLING_RELEASE},
        }[role]
    )
    assert not any(can(None, action) for action in Action if action is not Action.PUBLIC)


def test_sign_in_and_out(client: httpx.Client, house: House) -> None:
    response = sign_in(client, f"  {house.therapist.upper()} ")
    assert response.status_code == 303
    assert response.headers["location"] == "/"
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("rtm=")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert client.get("/").status_code == 200
    old = client.cookies["rtm"]
    assert client.post("/sign-out").headers["location"] == "/sign-in"
    client.cookies.set("rtm", old)
    assert client.get("/").status_code == 303, "the session has ended on the server, not only in the browser"


@pytest.mark.parametrize("login", ["nobody@example.org", None])
def test_a_wrong_password_says_the_same_for_everybody(
    client: httpx.Client, house: House, login: str | None
) -> None:
    response = sign_in(client, login or house.therapist, "wrong password")
    assert response.status_code == 403
    assert "Email or password is not right." in response.text
    assert "set-cookie" not in response.headers


def test_sign_in_rotates_the_session(client: httpx.Client, house: House) -> None:
    """A session planted or held before the sign-in is worth nothing after it."""
    client.cookies.set("rtm", "planted")
    sign_in(client, house.therapist)
    first = client.cookies.get("rtm", domain="127.0.0.1") or client.cookies["rtm"]
    assert first != "planted"
    sign_in(client, house.therapist)
    with httpx.Client(base_url=client.base_url, cookies={"rtm": first}, trust_env=False) as other:
        assert other.get("/").status_code == 303


def test_sessions_end(pages_store: Store, house: House) -> None:
    sessions = Sessions(
        pages_store,
        idle=timedelta(minutes=15),
        patient_idle=timedelta(hours=4),
        absolute=timedelta(hours=12),
    )
    with pages_store.tenant_tx(house.tenant) as tx:
        row = tx.execute(
            "SELECT user_id FROM app_user WHERE tenant_id = %s AND role = 'therapist'", (house.tenant,)
        ).fetchone()
        assert row is not None
        token = sessions.open(tx, house.tenant, row["user_id"], Role.THERAPIST, NOW)
    assert len(token) >= 43, "256 bits"
    found = sessions.find(token, NOW + timedelta(minutes=14))
    assert found is not None
    assert found.name == "Nora Feld, PT"
    assert sessions.find(token, NOW + timedelta(minutes=28)) is not None, "each request moves the idle end"
    assert sessions.find(token, NOW + timedelta(minutes=28 + 16)) is None
    with pages_store.tenant_tx(house.tenant) as tx:
        token = sessions.open(tx, house.tenant, row["user_id"], Role.THERAPIST, NOW)
    for quarter in range(1, 48):
        assert sessions.find(token, NOW + timedelta(minutes=14 * quarter)) is not None
    assert sessions.find(token, NOW + timedelta(hours=12, seconds=1)) is None, "absolute end"
    assert sessions.find("x" * 500, NOW) is None
    with pages_store.tenant_tx(house.tenant) as tx:
        rows = tx.execute("SELECT token_hash FROM session WHERE tenant_id = %s", (house.tenant,)).fetchall()
    assert all(token.encode() not in row["token_hash"] for row in rows)


def test_ended_sessions_leave_nothing_behind(pages_store: Store, own_house: House) -> None:
    span = timedelta(minutes=15)
    sessions = Sessions(pages_store, idle=span, patient_idle=span, absolute=timedelta(hours=12))
    tenant = own_house.tenant
    with pages_store.tenant_tx(tenant) as tx:
        user = tx.execute("SELECT user_id FROM app_user WHERE role = 'billing'").fetchone()
        assert user is not None
        sessions.open(tx, tenant, user["user_id"], Role.BILLING, NOW)
        sessions.open(tx, tenant, user["user_id"], Role.BILLING, NOW + timedelta(minutes=5))
        sessions.open(tx, tenant, user["user_id"], Role.BILLING, NOW + timedelta(days=1))
        left = tx.execute(
            "SELECT (SELECT count(*) FROM session) AS sessions,"
            " (SELECT count(*) FROM directory WHERE kind = 'session') AS ways"
        ).fetchone()
    assert left == {"sessions": 1, "ways": 1}


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5"])  # noqa: S104 - it is refused
def test_the_network_needs_https(tmp_path: Path, host: str) -> None:
    with pytest.raises(ServerError, match="RTM_HTTPS"):
        serve.run(WebSettings(data_dir=tmp_path, database_url="postgresql://nowhere", http_host=host))


def test_a_disabled_user_is_out_at_the_next_request(
    pages_store: Store, client: httpx.Client, own_house: House
) -> None:
    sign_in(client, own_house.billing)
    assert client.get("/billing/2026-11").status_code == 200
    with pages_store.tenant_tx(own_house.tenant) as tx:
        tx.execute(
            "UPDATE app_user SET disabled_at = now() WHERE tenant_id = %s AND role = 'billing'",
            (own_house.tenant,),
        )
    assert client.get("/billing/2026-11").status_code == 303
    assert sign_in(client, own_house.billing).status_code == 403


def test_many_wrong_tries_wait(client: httpx.Client, own_house: House) -> None:
    for _ in range(FREE_TRIES):
        assert sign_in(client, own_house.therapist, "wrong").status_code == 403
    response = sign_in(client, own_house.therapist)
    assert response.status_code == 429
    assert int(response.headers["retry-after"]) >= 1
    assert sign_in(client, own_house.billing).status_code == 303, "others of the same address go on"


@given(st.integers(FREE_TRIES, 60))
def test_the_wait_grows_and_ends(tries: int) -> None:
    throttle = Throttle()
    for _ in range(tries):
        throttle.failed("a", "1", 0.0)
    wait = throttle.wait_s("a", "1", 0.0)
    assert 1 <= wait <= LONGEST_WAIT_S
    assert throttle.wait_s("a", "1", LONGEST_WAIT_S + 1) == 0
    assert throttle.wait_s("a", "1", 4000.0) == 0
    assert throttle.wait_s("b", "2", 0.0) == 0
    throttle.succeeded("a")
    assert throttle.wait_s("a", "2", 0.0) == 0


def test_passwords() -> None:
    stored = QUICK.hash("a good long one")
    assert stored.startswith("$argon2id$")
    assert QUICK.matches(stored, "a good long one")
    assert not QUICK.matches(stored, "a good long on")
    assert not QUICK.matches(None, "a good long one")
    assert not QUICK.matches("not a hash", "x")
    assert not QUICK.matches(stored, "x" * 100_000)
    assert Passwords().outdated(stored), "weaker parameters are renewed"


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "https://evil.example",
        "/a\r\nx: y",
        "",
        "evil",
        "/\u2028",
    ],
)
def test_next_leads_nowhere_else(client: httpx.Client, house: House, target: str) -> None:
    assert safe_path(target) == "/"
    response = sign_in(client, house.therapist, next=target)
    assert response.headers["location"] == "/"


def test_next_leads_to_where_one_was(client: httpx.Client, house: House) -> None:
    target = f"/p/{house.patient}"
    assert client.get(target).headers["location"] == f"/sign-in?next={target}"
    assert sign_in(client, house.therapist, next=target).headers["location"] == target


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 303),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({}, 403),
        ({"origin": "http://{host}"}, 303),
        ({"origin": "https://{host}"}, 403),
    ],
)
def test_changes_come_from_own_pages_only(address: str, headers: dict[str, str], status: int) -> None:
    host = address.removeprefix("http://")
    sent = {name: value.format(host=host) for name, value in headers.items()}
    with httpx.Client(base_url=address, headers=sent, trust_env=False) as client:
        assert client.post("/sign-out").status_code == status


def test_own_origin_needs_a_host() -> None:
    assert not own_origin({"origin": "http://", "host": "a"}, scheme="http")


def test_foreign_hosts_and_large_bodies_are_refused(client: httpx.Client) -> None:
    assert client.get("/sign-in", headers={"host": "evil.example"}).status_code == 400
    assert client.post("/sign-in", content=b"x" * 70_000).status_code == 413

    def lies() -> object:
        yield b"email=" + b"x" * 40_000
        yield b"x" * 40_000

    with pytest.raises(httpx.HTTPError):
        raise_for(client.post("/sign-in", content=lies()))  # type: ignore[arg-type]  # a stream without a length


def raise_for(response: httpx.Response) -> None:
    response.raise_for_status()


def test_headers_fail_closed(client: httpx.Client, house: House) -> None:
    for path in ("/sign-in", "/nowhere", "/livez", "/favicon.ico"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers
    sign_in(client, house.therapist)
    page = client.get("/")
    assert page.headers["cache-control"] == "no-store"
    found = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
    assert len(found) >= 3
    for asset in found:
        response = client.get(asset)
        assert response.status_code == 200
        assert "immutable" in response.headers["cache-control"]
    assert client.get("/static/old/style.css").headers["cache-control"] == "no-store"
    assert client.get("/static/x/..%2f..%2fapp.py").status_code == 404


def test_https_sets_the_host_cookie(https_client: httpx.Client, house: House) -> None:
    """Behind a proxy that ends TLS the cookie is `__Host-`, Secure, and the browser told to stay on https."""
    response = sign_in(https_client, house.therapist)
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("__Host-rtm=")
    assert "Secure" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie
    assert response.headers["strict-transport-security"]


def test_health(client: httpx.Client) -> None:
    assert client.get("/livez").text == "ok\n"
    assert client.get("/readyz").text == "ok\n"
    assert "version" in client.get("/version").json()
    for path in ("/openapi.json", "/docs", "/redoc"):
        assert client.get(path).status_code == 404
