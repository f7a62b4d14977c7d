"""The `rtm` command: one function a command, each a thin call into the component that does the work."""

from __future__ import annotations

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


for command in (tools.analyze, tools.exercises, tools.bill):
    app.command()(command)
for command in (records.export_app, long_running.gateway_app):
    app.add_typer(command)
for command in (records.migrate, records.verify, records.doctor):
    app.command()(command)
for command in (
    long_running.demo,
    long_running.serve,
    long_running.ingest,
    long_running.worker,
    long_running.simulate,
):
    app.command()(command)


def main() -> None:
    """Entry point of `rtm` and of `python -m homestretch`."""
    app()
