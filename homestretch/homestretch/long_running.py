"""Commands that run until stopped: the demo, the server's three processes, the gateway, the simulator."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from homestretch import parent
from homestretch.command import WRONG_USAGE, CommandError, plain_failures, say

gateway_app = typer.Typer(
    name="gateway", help="The home end: read wearables, keep what they measure, forward it."
)


def demo(
    patients: Annotated[int, typer.Option("--patients", min=1, max=500, help="How many patients.")] = 12,
    days: Annotated[int, typer.Option("--days", min=1, max=400, help="Days of history.")] = 45,
    port: Annotated[int | None, typer.Option("--port", min=1, max=65535, help="The pages' port.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Send one recording through everything, then exit.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the cohort and the sensors.")] = 1,
) -> None:
    """The whole platform with throw-away data: patients, sensors, gateway, server, pages."""
    parent.exit_with_parent()
    with plain_failures():
        if check:
            from homestretch.demo import check as check_run  # noqa: PLC0415 - loads every component

            if not check_run.run(seed):
                raise typer.Exit(1)
            return
        from homestretch.demo import run as demo_run  # noqa: PLC0415 - loads every component

        demo_run.run(patients=patients, days=days, port=port, seed=seed)


def serve() -> None:
    """The pages, until stopped."""
    parent.exit_with_parent()
    with plain_failures():
        from homestretch import platform  # noqa: PLC0415
        from rtm_server.settings import Settings  # noqa: PLC0415 - the extra [server]
        from rtm_server.web import serve as web  # noqa: PLC0415

        settings = Settings()
        with platform.store(settings, "serve"):  # refuses a database of another version before it listens
            pass
        web.run(settings)


def ingest() -> None:
    """Take chunks from the broker into the database, until stopped."""
    parent.exit_with_parent()
    with plain_failures():
        from homestretch import platform  # noqa: PLC0415
        from rtm_server.ingest import Ingest  # noqa: PLC0415 - the extra [server]
        from rtm_server.settings import Settings  # noqa: PLC0415

        settings = Settings()
        with platform.store(settings, "ingest") as store:
            taker = Ingest(
                settings, store, platform.broker_url(settings), on_ready=lambda: say("Taking chunks.")
            )
            _stop_on_signal(taker.stop)
            taker.run()


def worker() -> None:
    """Analyse complete recordings, until stopped."""
    parent.exit_with_parent()
    with plain_failures():
        from homestretch import platform  # noqa: PLC0415
        from rtm_server import jobs  # noqa: PLC0415 - the extra [server]
        from rtm_server.settings import Settings  # noqa: PLC0415

        settings = Settings()
        with platform.store(settings, "worker") as store:
            jobs.run(settings, store, platform.database_url(settings))


@gateway_app.callback(invoke_without_command=True)
def gateway(context: typer.Context) -> None:
    """Read the wearables of one home and forward what they measure, until stopped."""
    if context.invoked_subcommand is not None:
        return
    parent.exit_with_parent()
    with plain_failures():
        from rtm_gateway import app  # noqa: PLC0415 - the extra [gateway]
        from rtm_gateway.settings import GatewaySettings  # noqa: PLC0415

        _run_until_signal(app.run(GatewaySettings()))


@gateway_app.command()
def setup(
    sensor: Annotated[
        list[UUID] | None, typer.Option("--sensor", help="A sensor's id at the clinic; may be repeated.")
    ] = None,
    placement: Annotated[
        list[str] | None, typer.Option("--placement", help="Where it is worn; one for each --sensor.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: take the sensor that moved.")] = False,
) -> None:
    """Pair sensors with body places: wave the sensor that belongs to each."""
    with plain_failures():
        from rtm_gateway import setup as setup_run  # noqa: PLC0415 - the extra [gateway]
        from rtm_gateway.settings import GatewaySettings  # noqa: PLC0415

        sensors, placements = sensor or [], placement or []
        if len(sensors) != len(placements):
            raise CommandError("Give one --placement for each --sensor.", WRONG_USAGE)
        settings = GatewaySettings()
        places = setup_run.places_from(sensors, placements, settings)
        _run_until_signal(setup_run.run(settings, places, yes=yes))


def simulate(
    wearable: Annotated[str, typer.Option("--wearable", help="homestretch, polar-pmd, movesense-gsp, ...")],
    transport: Annotated[
        str, typer.Option("--transport", help="A bumble transport, such as tcp-server:127.0.0.1:7300.")
    ],
    recording: Annotated[Path | None, typer.Option("--recording", help="The file to stream.")] = None,
    exercise: Annotated[
        str | None, typer.Option("--exercise", help="Or an exercise of the body model.")
    ] = None,
    repetitions: Annotated[int, typer.Option("--repetitions", min=0, help="How many of it.")] = 10,
    loop: Annotated[bool, typer.Option("--loop", help="Start again at the end.")] = False,
    speed: Annotated[float, typer.Option("--speed", help="Deliver so many times faster.")] = 1.0,
    seed: Annotated[int, typer.Option("--seed", help="One seed, one run, to the byte.")] = 0,
    name: Annotated[str | None, typer.Option("--name", help="The advertised name.")] = None,
) -> None:
    """A wearable that is not there, as a real Bluetooth LE peripheral."""
    parent.exit_with_parent()
    with plain_failures():
        from rtm_firmware_sim import simulate as simulator  # noqa: PLC0415 - the extra [sim]
        from rtm_firmware_sim.profiles import PROFILES  # noqa: PLC0415
        from rtm_signal import catalogue  # noqa: PLC0415

        if wearable not in PROFILES:
            raise CommandError(
                f"There is no wearable {wearable!r}; there are {', '.join(PROFILES)}.", WRONG_USAGE
            )
        if not 0 < speed <= 1000:
            raise CommandError("--speed is a number above 0, at most 1000.", WRONG_USAGE)
        if recording is not None and exercise is not None:
            raise CommandError("Give a recording or an exercise, not both.", WRONG_USAGE)
        try:
            catalogue.get(exercise or "generic")
        except catalogue.UnknownExercise as error:
            raise CommandError(str(error), WRONG_USAGE) from error
        _run_until_signal(
            simulator.run(
                wearable,
                recording=recording,
                exercise=exercise,
                repetitions=repetitions,
                loop=loop,
                speed=speed,
                seed=seed,
                name=name,
                transport=transport,
                on_ready=lambda lines: say(f"advertising on {transport}:\n{lines}"),
            )
        )


def _stop_on_signal(stop: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop())


def _run_until_signal(work: Coroutine[object, object, object]) -> None:
    """Run until done, SIGTERM or SIGINT; cancellation is a clean end."""

    async def guarded() -> None:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            if not task.cancelled():
                raise

    asyncio.run(guarded())
