"""The `rtm` command: one function a command, each a thin call into the component that does the work."""

from __future__ import annotations

from collections.abc import Callable

import typer

from homestretch import __version__, long_running, records, tools

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


def main() -> None:
    """Entry point of `rtm` and of `python -m homestretch`."""
    app()
