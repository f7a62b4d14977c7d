"""The `rtm` command: one function a command, each a thin call into the component that does the work."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import typer

from homestretch import __version__, long_running, records, tools
from homestretch.command import FAILURE, WRONG_USAGE, stop

app = typer.Typer(
    name="rtm",
    help="Homestretch: remote therapeutic monitoring, from a moving wearable to a claim line.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:
    if value:
        print(f"homestretch {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Homestretch: remote therapeutic monitoring, from a moving wearable to a claim line."""


COMMANDS: tuple[Callable[..., None], ...] = (
    *(tools.analyze, tools.exercises, tools.bill),
    *(long_running.demo, long_running.serve, long_running.ingest, long_running.worker, long_running.simulate),
    *(records.migrate, records.verify, records.doctor),
)
for command in COMMANDS:
    app.command()(command)
for group in (long_running.gateway_app, records.export_app):
    app.add_typer(group)


# Typer carries click within itself; of its errors of usage it exports this one's children only.
_UsageError = typer.BadParameter.__mro__[1]


def main() -> None:
    """Entry point of `rtm` and of `python -m homestretch`: wrong usage is one sentence too, JSON where asked for."""
    try:
        sys.exit(typer.main.get_command(app).main(standalone_mode=False))
    except typer.Abort:
        sys.exit(FAILURE)
    except Exception as error:
        if not isinstance(error, _UsageError):
            raise
        _wrong_usage(error)


def _wrong_usage(error: Any) -> NoReturn:
    """error: of click, which has `ctx` and `format_message`. Without a message it has shown the help already."""
    if sentence := " ".join(error.format_message().split()):
        command = "rtm" if error.ctx is None else error.ctx.command_path
        with contextlib.suppress(typer.Exit):
            stop(
                f"{sentence.rstrip('.')}; see `{command} --help`.", WRONG_USAGE, as_json="--json" in sys.argv
            )
    sys.exit(WRONG_USAGE)
