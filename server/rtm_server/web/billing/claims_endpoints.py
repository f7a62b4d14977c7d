"""What leaves the month and what comes back: claims as files, a line's audit file, a payer's answer."""

from __future__ import annotations

import io
import zipfile
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, File, Form, Request, UploadFile
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from rtm_server.claims.audit_file import AuditFile, audit_file
from rtm_server.claims.errors import ClaimsError
from rtm_server.claims.export import Exported, export_month, manifest_of, manifest_text
from rtm_server.claims.intake import Taken, take_in
from rtm_server.web import clinic
from rtm_server.web.billing import repository
from rtm_server.web.billing.endpoints import first_of, month_page
from rtm_server.web.errors import InvalidError, NotFoundError
from rtm_server.web.policy import Action, Actor, allow
from rtm_server.web.services import Services, Svc, Who
from rtm_server.web.wording import plural, sentence

router = APIRouter()


class ExportForm(BaseModel):
    """Which file."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["837p", "csv"]


@router.post("/billing/{month}/export")
@allow(Action.BILLING_RELEASE)
def export_claims(
    request: Request, svc: Svc, who: Who, month: str, form: Annotated[ExportForm, Form()]
) -> Response:
    """The released lines as claims, in a zip with their manifest. What left once comes again as it was."""
    first = first_of(month)
    try:
        done = export_month(svc.store, who.tenant, first, form.format, now=svc.now(), actor=who.user)
        _require_files(done)
    except (ClaimsError, InvalidError) as problem:
        words = InvalidError(f"{sentence(str(problem)).rstrip('.')}.")
        return month_page(request, svc, who, first, problem=words)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for document in done.documents:
            made.writestr(document.name, document.content)
        made.writestr("manifest.json", manifest_text(manifest_of(first, form.format, [done])))
    return _download(out.getvalue(), "application/zip", f"claims-{first:%Y-%m}-{form.format}.zip")


@router.get("/billing/{month}/lines/{key}/audit.pdf")
@allow(Action.BILLING_READ)
def audit_pdf(svc: Svc, who: Who, month: str, key: str) -> Response:
    """A released line's audit file, to read."""
    made = _audit_file(svc, who, month, key)
    return _download(made.pdf, "application/pdf", f"{made.name}.pdf")


@router.get("/billing/{month}/lines/{key}/audit.zip")
@allow(Action.BILLING_READ)
def audit_zip(svc: Svc, who: Who, month: str, key: str) -> Response:
    """A released line's audit file, to check: `python -m rtm_billing.audit_check`."""
    made = _audit_file(svc, who, month, key)
    return _download(made.packed, "application/zip", f"{made.name}.zip")


@router.post("/billing/{month}/responses")
@allow(Action.BILLING_RELEASE)
def payer_response(
    request: Request, svc: Svc, who: Who, month: str, answer: Annotated[UploadFile, File()]
) -> Response:
    """A 999, 277CA or 835 moves the lines it speaks about. Its name is ignored."""
    first = first_of(month)
    try:
        taken = take_in(svc.store, who.tenant, answer.file.read(), actor=who.user, now=svc.now())
    except ClaimsError as problem:
        words = InvalidError(f"{sentence(str(problem))}. Nothing was changed.")
        return month_page(request, svc, who, first, problem=words)
    besides = [each.removeprefix(f"{taken.kind}: ") for each in taken.besides]
    return month_page(request, svc, who, first, note=_said(taken), besides=besides)


def _require_files(done: Exported) -> None:
    if done.documents:
        return
    if done.left_out:
        raise InvalidError("Nothing could go. What each line waits for stands beside it under Released.")
    raise InvalidError("No released line has its service date in this month.")


def _said(taken: Taken) -> str:
    if taken.known:
        return f"This {taken.kind} was taken in before; nothing moved."
    words = f"{taken.kind} taken in: {plural(taken.moved, 'line')} moved"
    if taken.unchanged:
        words += f", {plural(taken.unchanged, 'line')} left as {'it stands' if taken.unchanged == 1 else 'they stand'}"
    if taken.unmatched:
        words += f", {plural(taken.unmatched, 'entry', 'entries')} not ours"
    return f"{words}."


def _audit_file(svc: Services, who: Actor, month: str, key: str) -> AuditFile:
    line = _stored(svc, who, month, key)
    if line is None:
        raise NotFoundError
    return audit_file(svc.store, who.tenant, line, actor=who.user, now=svc.now())


def _stored(svc: Services, who: Actor, month: str, key: str) -> UUID | None:
    """The line behind a key of the month; None while nobody has released it."""
    with svc.store.tenant_tx(who.tenant) as tx:
        at = clinic.clinic(tx, who.tenant)
        item = repository.load(svc.store, tx, at, first_of(month), svc.now()).found.get(key)
    return None if item is None else item.stored


def _download(content: bytes, media_type: str, name: str) -> Response:
    return Response(
        content, media_type=media_type, headers={"content-disposition": f'attachment; filename="{name}"'}
    )
