"""Commands that care for the store: migrate, verify, export, doctor."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from homestretch.command import FAILURE, WRONG_USAGE, CommandError, plain_failures, print_json, say
from homestretch.progress import progress_to_stderr
from homestretch.tools import JsonFlag

export_app = typer.Typer(name="export", help="Write what leaves the platform.", no_args_is_help=True)


def migrate(
    check: Annotated[bool, typer.Option("--check", help="Only say whether it is up to date.")] = False,
) -> None:
    """Bring the database's schema to this version."""
    with plain_failures():
        from rtm_server import migrate as migration  # noqa: PLC0415 - the extra [server]
        from rtm_server.settings import Settings  # noqa: PLC0415

        settings = Settings()
        url = settings.database_owner_url or settings.database_url
        if url is None:
            raise CommandError("RTM_DATABASE_URL names no database.")
        if check:
            migration.check(url)
            print(f"up to date: {migration.head()}")
            return
        before = migration.current(url)
        migration.upgrade(url, timescale=settings.timescale)
        after = migration.head()
        print(f"up to date: {after}" if before == after else f"migrated: {before or 'empty'} -> {after}")


def verify(as_json: JsonFlag = False) -> None:
    """Hold the store against what was acknowledged, reported and derived."""
    with plain_failures(as_json=as_json):
        from homestretch import platform  # noqa: PLC0415
        from rtm_server import verify as verification  # noqa: PLC0415 - the extra [server]
        from rtm_server.settings import Settings  # noqa: PLC0415

        settings = Settings()
        with platform.store(settings, "verify") as store, progress_to_stderr("verifying") as report:
            result, faults = verification.check(store, settings.data_dir, report)
        if as_json:
            print_json(result)
        else:
            for part, figures in result.items():
                if isinstance(figures, dict):
                    print(f"{part}: " + ", ".join(f"{name} {value}" for name, value in figures.items()))
        if not result["ok"]:
            say(f"rtm: {faults[0] if faults else 'the store does not hold what it should.'}")
            raise typer.Exit(FAILURE)


@export_app.callback()
def _export() -> None:
    """Write what leaves the platform."""


@export_app.command()
def claims(
    month: Annotated[str, typer.Option("--month", help="YYYY-MM, by date of service.")],
    out: Annotated[Path, typer.Option("--out", help="The folder to write to.")],
    form: Annotated[str, typer.Option("--format", help="837p or csv.")] = "837p",
) -> None:
    """The released claim lines of a month."""
    with plain_failures():
        if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", month):
            raise CommandError(f"--month is YYYY-MM, not {month!r}.", WRONG_USAGE)
        if form not in {"837p", "csv"}:
            raise CommandError(f"--format is 837p or csv, not {form!r}.", WRONG_USAGE)
        from datetime import UTC, date, datetime  # noqa: PLC0415 - with the extra [server]

        from homestretch import platform  # noqa: PLC0415
        from rtm_server.claims.export import Form, export_all  # noqa: PLC0415
        from rtm_server.settings import Settings  # noqa: PLC0415

        wanted: Form = "csv" if form == "csv" else "837p"
        with platform.store(Settings(), "export") as store:
            manifest = export_all(
                store, date.fromisoformat(f"{month}-01"), wanted, out, now=datetime.now(UTC)
            )
        for each in manifest["files"]:
            print(out / each["file"])
        for each in manifest["left_out"]:
            say(f"rtm: left out: {', '.join(each['lines'])} of episode {each['episode']}: {each['why']}")
        if manifest["failed"]:
            raise CommandError(f"clinic {manifest['failed'][0]['clinic']}: {manifest['failed'][0]['why']}")
        if not manifest["files"] and manifest["left_out"]:
            raise CommandError("no claim could be written; what each lacks is in manifest.json.")
        if not manifest["files"]:
            say(f"rtm: no released line has its service date in {month}.")


def doctor(as_json: JsonFlag = False) -> None:
    """Say in plain words what is missing on this machine."""
    with plain_failures(as_json=as_json):
        from homestretch import health  # noqa: PLC0415 - looks at every component

        findings = health.examine()
        if as_json:
            print_json([finding.as_dict() for finding in findings])
        else:
            for finding in findings:
                state = "ok" if finding.ok else "missing" if finding.needed else "note"
                print(f"{state:8}{finding.text}")
        if any(finding.needed and not finding.ok for finding in findings):
            raise typer.Exit(FAILURE)
