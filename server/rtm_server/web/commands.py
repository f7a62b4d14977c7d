"""What the pages ask of a home's gateway (docs/reference/mqtt.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

from rtm_server.web.errors import UnavailableError
from rtm_signal.wire import Command

NOT_SET_UP = "The connection to your sensor's gateway is not set up."


class Sender(Protocol):
    """Carries a command to a gateway. Raises UnavailableError when the broker is not reachable."""

    def send(self, gateway: UUID, command: Command) -> None:
        """Hand it to the broker, which keeps it for a gateway that is away for a while."""


class NoSender:
    """Where no broker is set up: says so instead of pretending."""

    def send(self, gateway: UUID, command: Command) -> None:
        """Refuse."""
        del gateway, command
        raise UnavailableError(NOT_SET_UP)


def start(recording: UUID, exercise: str | None) -> Command:
    """Open a recording of this exercise."""
    return Command("start", {"recording": str(recording), "exercise": exercise})


def calibrate(recording: UUID, exercise: str) -> Command:
    """Open a recording of supervised repetitions."""
    return Command("calibrate", {"recording": str(recording), "exercise": exercise})


def stop(recording: UUID) -> Command:
    """Close this recording."""
    return Command("stop", {"recording": str(recording)})


def wear(sensor: UUID, told: Mapping[str, str | None]) -> Command:
    """A sensor of this home from now on: `placement`, `profile`, `serial`, `address`, `exercise`."""
    return Command("assign", {"sensor": str(sensor), **told})


def let_go(sensor: UUID) -> Command:
    """A sensor that is of this home no more."""
    return Command("assign", {"sensor": str(sensor), "placement": None})
