"""Log lines are one JSON document each."""

from __future__ import annotations

import json
import logging

from rtm_gateway.logs import JsonFormatter, configure


def test_a_line_carries_its_extras() -> None:
    record = logging.makeLogRecord(
        {
            "name": "rtm_gateway",
            "levelno": 20,
            "levelname": "INFO",
            "msg": "opened %s",
            "args": ("x",),
            "by": "start",
        }
    )
    line = json.loads(JsonFormatter().format(record))
    assert line.pop("at").endswith("+00:00")
    assert line == {"level": "info", "logger": "rtm_gateway", "message": "opened x", "by": "start"}


def test_whoever_set_logging_up_first_keeps_it() -> None:
    before = list(logging.getLogger().handlers)
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    configure()
    assert logging.getLogger().handlers == [*before, handler]
    logging.getLogger().removeHandler(handler)
