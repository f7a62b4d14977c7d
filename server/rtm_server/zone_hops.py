"""Days gained by changing the patient's time zone: at most one new data day in 24 hours across a change.

A day is the patient's local date, and a zone may change (a journey, or somebody who types). Within one zone the dates
themselves see to it that days cannot be multiplied; between Kiritimati (+14 h) and Midway (-11 h) one morning has three
dates. So a new date in another zone than that of the reading which began the newest day counts without doubt only
24 hours after it. A journey costs at most one day that somebody must look at; nothing is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

ONE_DAY = timedelta(hours=24)
DOUBT = "the date was gained by a change of the time zone within 24 hours"


def gained(readings: Sequence[tuple[datetime, str]]) -> list[bool]:
    """Whether each reading's date was gained by a change of zone. readings: (aware instant, IANA zone), by instant."""
    days = set()
    newest: tuple[datetime, str] | None = None
    found = []
    for at, zone in readings:
        day = at.astimezone(ZoneInfo(zone)).date()
        hopped = newest is not None and zone != newest[1] and at - newest[0] < ONE_DAY
        found.append(day not in days and hopped)
        if day not in days and not hopped:
            days.add(day)
            newest = (at, zone)
    return found
