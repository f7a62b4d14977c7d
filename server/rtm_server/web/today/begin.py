"""A set or a calibration begins: one at a time, kept in the store first, then asked of the gateway."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from rtm_server.store import Tx
from rtm_server.web import clinic, commands, trail
from rtm_server.web.errors import ConflictError, ForbiddenError, InvalidError, PageError
from rtm_server.web.live import OpenSet
from rtm_server.web.policy import Actor
from rtm_server.web.services import Services
from rtm_server.web.today import repository, sensors

NO_SENSOR = "No sensor is assigned to you yet. Please call your clinic."
SHARED = "Somebody else is using your gateway just now. Please begin when they have finished."


def own(who: Actor) -> UUID:
    """The signed-in patient."""
    if who.patient is None:
        raise ForbiddenError
    return who.patient


def running(svc: Services, tx: Tx, who: Actor, homes: Sequence[UUID], now: datetime) -> UUID | None:
    """The recording this patient has open; one that has arrived is open no more, whoever missed its end."""
    patient = own(who)
    kept = repository.open_set(tx, who.tenant, patient, now)
    if kept is not None:
        return kept.recording
    heard = svc.hub.running(who.tenant, patient, frozenset(homes))
    if heard is not None and repository.stored(tx, who.tenant, patient, heard) is not None:
        svc.hub.closed(heard)
        return None
    return heard


def begin(svc: Services, who: Actor, exercise: str, *, calibration: bool) -> UUID:
    """The recording that begins, or the one that runs already. Raises PageError; then nothing was begun."""
    patient, now = own(who), svc.now()
    with svc.store.tenant_tx(who.tenant) as tx:
        item = clinic.episode_of(svc.store, tx, who.tenant, patient)
        doses = clinic.doses(tx, who.tenant, [item.episode])[item.episode]
        if not any(dose.exercise == exercise and dose.due(item.today(now)) for dose in doses):
            raise InvalidError("This exercise is not part of today's plan.")
        homes = repository.gateways(tx, who.tenant, item.episode, now)
        tx.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"set|{patient}",))
        found = running(svc, tx, who, homes, now)
        if found is not None:
            return found
        if not homes:
            raise ConflictError(NO_SENSOR)
        if repository.is_busy(tx, who.tenant, homes[0], patient, now):
            raise ConflictError(SHARED)
        if calibration and (problem := sensors.of(tx, who.tenant, item.episode, now).problem) is not None:
            raise ConflictError(problem)
        begun = OpenSet(uuid4(), who.tenant, patient, homes[0], exercise, calibration, now)
        repository.remember_set(tx, begun, now)
        trail.note(
            tx, who, "calibration_started" if calibration else "set_started", patient,
            {"recording": str(begun.recording)},
        )  # fmt: skip
    make = commands.calibrate if calibration else commands.start
    try:
        svc.commands.send(begun.gateway, make(begun.recording, exercise))
    except PageError:
        with svc.store.tenant_tx(who.tenant) as tx:
            repository.forget_set(tx, who.tenant, patient, begun.recording)
        raise
    svc.hub.opened(begun)
    return begun.recording
