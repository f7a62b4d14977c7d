"""What the server asks of this gateway. A command that is not understood changes nothing and is logged."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any
from uuid import UUID

from rtm_gateway.recorder import Recorder
from rtm_gateway.sensors import Sensors
from rtm_signal.wire import Command

_log = logging.getLogger(__name__)

Assign = Callable[[Mapping[str, Any]], Awaitable[None]]
Keep = Callable[[Coroutine[Any, Any, None]], object]


class Commands:
    """Carries commands out. assign: what the clinic assigns; keep: runs what takes a while, in the event loop."""

    def __init__(self, recorder: Recorder, sensors: Sensors, *, assign: Assign, keep: Keep) -> None:
        self._recorder = recorder
        self._sensors = sensors
        self._assign_sensor = assign
        self._keep = keep
        self._do: dict[str, Callable[[Mapping[str, Any]], object]] = {
            "start": self._start,
            "stop": self._stop,
            "calibrate": self._calibrate,
            "assign": lambda arguments: keep(self._assign(arguments)),
            "blink": self._blink,
            "settings": lambda arguments: recorder.watch(bool(arguments.get("watched", False))),
        }

    def obey(self, command: Command) -> None:
        """Carry one out. In the event loop."""
        try:
            self._do[command.do](command.args)
        except (TypeError, ValueError) as error:
            _refused(error)

    def _start(self, arguments: Mapping[str, Any], *, calibration: bool = False) -> None:
        recording = _id(arguments.get("recording"))
        if recording is not None and self._recorder.was_closed(recording):
            return  # it was sent twice, or came late
        self._recorder.open(
            "start",
            exercise=_text(arguments.get("exercise")) or None,
            recording=recording,
            calibration=calibration,
        )

    def _stop(self, arguments: Mapping[str, Any]) -> None:
        recording = _id(arguments.get("recording"))
        if recording is None or recording == self._recorder.recording:
            self._recorder.close("stop")  # another's stop came late: what is open now was begun since

    def _calibrate(self, arguments: Mapping[str, Any]) -> None:
        if not _text(arguments.get("exercise")):
            raise ValueError("a calibration is of an exercise, which is not named")
        self._start(arguments, calibration=True)

    def _blink(self, arguments: Mapping[str, Any]) -> None:
        wanted = _id(arguments.get("sensor"))
        sensor = None if wanted is None else self._sensors.get(wanted)
        if sensor is not None:
            self._keep(sensor.blink())

    async def _assign(self, arguments: Mapping[str, Any]) -> None:
        try:
            await self._assign_sensor(arguments)
        except ValueError as error:
            _refused(error)


def _refused(error: Exception) -> None:
    _log.warning("a command of the server cannot be carried out: %s", error)


def _id(value: object) -> UUID | None:
    text = _text(value)
    return UUID(text) if text else None


def _text(value: object) -> str:
    """A text argument of a command; empty where there is none."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError("an argument is not a text")
    return value
