"""`/today` and the live set."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from rtm_server.web import clinic, commands, trail
from rtm_server.web.errors import ConflictError, NotFoundError, PageError, TooManyError, UnavailableError
from rtm_server.web.identity.endpoints import cookie_name
from rtm_server.web.live import Live
from rtm_server.web.policy import Action, Actor, allow
from rtm_server.web.services import Services, Svc, Who
from rtm_server.web.today import repository, sensors
from rtm_server.web.today.begin import begin, own
from rtm_server.web.today.begin import running as running_now
from rtm_server.web.today.fields import PainForm, StartForm
from rtm_server.web.today.outcome import REPETITIONS
from rtm_server.web.today.views import LiveSet
from rtm_server.web.wording import TILT, angle_words

router = APIRouter()

# Two seconds of stillness are needed (`calibrations.STILL_S`); before them the phone is put down, and a command
# takes up to a second to the sensor.
KEEP_STILL = timedelta(seconds=8)
POLL_S = 0.2  # how soon a stop is noticed; live messages wake the stream
KEEP_ALIVE_S = 15.0  # a comment, so that proxies keep the stream
CHECK_SESSION_S = 30.0  # a stream ends soon after its session
NOTES = {
    "pain": "Thank you. Your therapist can see it.",
    "stopped": "Set finished. The exact count follows in a minute.",
}


@router.get("/today")
@allow(Action.OWN_DAY)
def show(request: Request, svc: Svc, who: Who, note: str = "") -> Response:
    """The day."""
    return _day(request, svc, who, note=NOTES.get(note))


@router.post("/today/start")
@allow(Action.OWN_DAY)
def start(request: Request, svc: Svc, who: Who, form: Annotated[StartForm, Form()]) -> Response:
    """Begin a set: the gateway at home opens the recording, this page counts along."""
    try:
        recording = begin(svc, who, form.exercise, calibration=False)
    except (ConflictError, UnavailableError) as problem:
        return _day(request, svc, who, problem=problem)
    return RedirectResponse(f"/today/set/{recording}", status_code=303)


@router.get("/today/set/{recording}")
@allow(Action.OWN_DAY)
def live(request: Request, svc: Svc, who: Who, recording: UUID) -> Response:
    """The count. Without scripts the page fetches itself anew every five seconds."""
    running = _set(svc, who, recording)
    if running.calibration and running.closed:
        return RedirectResponse(f"/today/calibration/{recording}", status_code=303)
    if running.calibration:
        return svc.pages.render(request, "calibrating.html", {"set": running, "repetitions": REPETITIONS})
    return svc.pages.render(request, "live.html", {"set": running})


@router.get("/today/set/{recording}/events")
@allow(Action.OWN_DAY)
def events(request: Request, svc: Svc, who: Who, recording: UUID) -> Response:
    """Server-sent events `count`, `angle`, `waiting` and `closed`."""
    running = _set(svc, who, recording)
    if not svc.hub.enter_stream(who.user, svc.settings.streams_per_user):
        raise TooManyError("Too many pages with a live count are open.")
    return StreamingResponse(
        _stream(request, svc, who, running),
        media_type="text/event-stream",
        headers={"x-accel-buffering": "no"},
    )


@router.post("/today/set/{recording}/stop")
@allow(Action.OWN_DAY)
def stop(request: Request, svc: Svc, who: Who, recording: UUID) -> Response:
    """End the set. A gateway out of reach closes the recording itself after five idle minutes."""
    running = _set(svc, who, recording)
    if running.gateway is not None and not running.closed:
        try:
            svc.commands.send(running.gateway, commands.stop(recording))
        except PageError as problem:
            return _day(request, svc, who, problem=problem)
        with svc.store.tenant_tx(who.tenant) as tx:
            repository.end_set(tx, who.tenant, own(who), recording, svc.now())
            trail.note(tx, who, "set_stopped", own(who), {"recording": str(recording)})
    svc.hub.closed(recording)
    where = f"/today/calibration/{recording}" if running.calibration else "/today?note=stopped"
    return RedirectResponse(where, status_code=303)


@router.post("/today/pain")
@allow(Action.OWN_DAY)
def pain(svc: Svc, who: Who, form: Annotated[PainForm, Form()]) -> Response:
    """Keep an answer."""
    with svc.store.tenant_tx(who.tenant) as tx:
        item = clinic.episode_of(svc.store, tx, who.tenant, own(who))
        repository.report_pain(tx, who.tenant, item, form.value, svc.now())
        trail.note(tx, who, "pain_reported", item.patient)
    return RedirectResponse("/today?note=pain", status_code=303)


def _day(
    request: Request, svc: Services, who: Actor, *, note: str | None = None, problem: PageError | None = None
) -> Response:
    patient, now = own(who), svc.now()
    with svc.store.tenant_tx(who.tenant) as tx:
        at = clinic.clinic(tx, who.tenant)
        item = clinic.episode_of(svc.store, tx, who.tenant, patient)
        running = running_now(svc, tx, who, repository.gateways(tx, who.tenant, item.episode, now), now)
        day = repository.load(svc.store, tx, at, patient, now, running)
        ready = sensors.of(tx, who.tenant, item.episode, now)
        trail.note(tx, who, "own_day_read", patient)
    values = {
        "day": day,
        "ready": ready,
        "note": note,
        "pain_first": note == NOTES["stopped"],
        "error": None if problem is None else problem.sentence,
    }
    return svc.pages.render(request, "today.html", values, 200 if problem is None else problem.status)


def _set(svc: Services, who: Actor, recording: UUID) -> LiveSet:
    """A set of this patient: started here, heard of from one of the patient's gateways, or stored already."""
    patient, now = own(who), svc.now()
    with svc.store.tenant_tx(who.tenant) as tx:
        item = clinic.episode_of(svc.store, tx, who.tenant, patient)
        arrived = repository.stored(tx, who.tenant, patient, recording)
        homes = repository.gateways(tx, who.tenant, item.episode, now)
        doses = clinic.doses(tx, who.tenant, [item.episode])[item.episode]
        kept = repository.open_set(tx, who.tenant, patient, now)
    if kept is not None and kept.recording == recording and svc.hub.set_of(recording) is None:
        svc.hub.opened(kept)  # started before this process, or in another
    opened = svc.hub.set_of(recording)
    mine = opened is not None and opened.tenant == who.tenant and opened.patient == patient
    home = opened.gateway if mine and opened is not None else None
    if home is None:
        home = next((gateway for gateway in homes if svc.hub.count(gateway, recording) is not None), None)
    if home is None and arrived is None:
        raise NotFoundError
    begun = opened if mine else None
    exercise = begun.exercise if begun is not None else None if arrived is None else arrived.exercise
    dose = next((d for d in doses if d.exercise == exercise and d.due(item.today(now))), None)
    count = None if home is None else svc.hub.count(home, recording)
    if arrived is not None and arrived.repetitions is not None:
        count = arrived.repetitions
    target = int(dose.value) if dose is not None and dose.unit == "repetitions" else None
    closed = arrived is not None or svc.hub.stopped(recording)
    calibration = begun.calibration if begun is not None else arrived is not None and arrived.calibration
    still_s = _still_s(None if begun is None else begun.opened_at, now)
    return LiveSet(
        recording,
        exercise,
        target,
        count,
        closed=closed,
        gateway=home,
        calibration=calibration,
        still_s=still_s,
    )


def _still_s(opened_at: datetime | None, now: datetime) -> int:
    """Seconds that are left of keeping still; a page that comes late does not begin anew."""
    gone = KEEP_STILL if opened_at is None else now - opened_at
    return max(math.ceil((KEEP_STILL - gone).total_seconds()), 0)


async def _stream(request: Request, svc: Services, who: Actor, running: LiveSet) -> AsyncIterator[str]:
    """New counts and angles the moment they come; ends with the set, the session or the browser."""
    try:
        yield "retry: 2000\n\n"
        if running.closed or running.gateway is None:
            yield _event("closed")
            return
        with svc.hub.listen(running.gateway) as news:
            async for text in _news(request, svc, who, running, running.gateway, news):
                yield text
    finally:
        svc.hub.leave_stream(who.user)


async def _news(
    request: Request, svc: Services, who: Actor, running: LiveSet, gateway: UUID, news: asyncio.Event
) -> AsyncIterator[str]:
    told: int | None = -1
    shown: Live | None = None
    spoke = checked = time.monotonic()
    token = request.cookies.get(cookie_name(svc), "")
    while not svc.hub.ending and not await request.is_disconnected():
        if _stopped(svc, who, running):
            yield _event("closed")
            return
        news.clear()
        live = svc.hub.newest(gateway, running.recording)
        count = None if live is None else live.count
        text = ""
        if count != told:
            told = count
            text = _event("waiting" if count is None else "count", count=count)
        if live is not None and live is not shown and _new_angle(live, shown):
            text += _event("angle", angle_deg=live.angle_deg, words=angle_words(live.angle))
        shown = live
        now = time.monotonic()
        if not text and now - spoke >= KEEP_ALIVE_S:
            text = ": still here\n\n"
        if text:
            spoke = now
            yield text
        if now - checked >= CHECK_SESSION_S:
            checked = now
            if await to_thread.run_sync(lambda: svc.sessions.find(token, svc.now(), touch=False)) is None:
                return
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await news.wait()


def _new_angle(live: Live, shown: Live | None) -> bool:
    """Whether there is an angle to show, or a joint whose angle is not known any more."""
    if live.angle_deg is not None:
        return True
    joint = live.angle is not None and live.angle != TILT
    return joint and (shown is None or shown.angle_deg is not None or shown.angle != live.angle)


def _event(name: str, **data: object) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


def _stopped(svc: Services, who: Actor, running: LiveSet) -> bool:
    """Stopped from another page: the hub has forgotten the set, and its gateway has fallen silent."""
    if svc.hub.set_of(running.recording) is not None or running.gateway is None:
        return False
    return svc.hub.running(who.tenant, own(who), frozenset({running.gateway})) != running.recording
