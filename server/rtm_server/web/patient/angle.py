"""The angle of one recording, computed again from its samples when somebody asks to see it.

The stored result holds repetitions and figures, not the series: the samples stay the one source.
"""

from __future__ import annotations

import math
from datetime import date
from functools import lru_cache
from uuid import UUID

from rtm_server import reading
from rtm_server.errors import CryptoError
from rtm_server.store import Store
from rtm_signal import catalogue
from rtm_signal.analysis import PIPELINE_VERSION, analyze
from rtm_signal.recording import RecordingError

Series = tuple[tuple[float, ...], tuple[float | None, ...]]
NOTHING: Series = ((), ())

_CALIBRATION = """
SELECT p.calibration_recording_id, p.calibration_repetitions
FROM recording r
JOIN prescription p ON p.tenant_id = r.tenant_id AND p.episode_id = r.episode_id AND p.exercise = r.exercise
 AND p.valid_from <= %(day)s AND (p.valid_to IS NULL OR p.valid_to >= %(day)s)
WHERE r.tenant_id = %(tenant)s AND r.recording_id = %(recording)s AND p.calibration_recording_id IS NOT NULL
ORDER BY p.valid_from DESC LIMIT 1
"""


def series(store: Store, tenant: UUID, recording: UUID, exercise: str, day: date, version: str) -> Series:
    """(seconds, degrees or None) of a recording; empty when its samples or its angle are not there.

    A result of another pipeline version gets no line: the picture would not be what was counted.
    """
    if version != PIPELINE_VERSION:
        return NOTHING
    return _series(store, tenant, recording, exercise, day)


@lru_cache(maxsize=64)
def _series(store: Store, tenant: UUID, recording: UUID, exercise: str, day: date) -> Series:
    try:
        with store.tenant_tx(tenant) as tx:
            stored = reading.read(store, tx, tenant, recording).recording
            row = tx.execute(_CALIBRATION, {"tenant": tenant, "recording": recording, "day": day}).fetchone()
            calibration = (
                None
                if row is None
                else reading.read(store, tx, tenant, row["calibration_recording_id"]).recording
            )
        repetitions = None if row is None else row["calibration_repetitions"]
        result = analyze(stored, exercise, calibration=calibration, calibration_repetitions=repetitions)
    except (RecordingError, CryptoError, catalogue.UnknownExercise):
        return NOTHING
    found = result.angle_series
    if found is None:
        return NOTHING
    degrees = tuple(
        float(value) if ok and math.isfinite(value) else None
        for value, ok in zip(found.angle_deg, found.valid, strict=True)
    )
    return tuple(float(t) for t in found.t), degrees
