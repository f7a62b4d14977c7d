"""What became of a calibration, in the patient's words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from rtm_server.calibrations import Calibration
from rtm_server.web.wording import angle_words, body_part, plural

REPETITIONS = 5
"""Asked for: enough for an axis and a pace; more tires somebody after surgery."""
LATE_AFTER = timedelta(minutes=2)
"""A chunk that is lost on the way is sent again after half a minute."""
FEWEST = 3
"""Fewer leave the pace to chance."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """state: `waiting`, `good`, `doubtful` (kept, better done again), `failed` or `taken_back`. advice: what to do."""

    state: str
    title: str
    text: str
    advice: str = ""

    @property
    def waits(self) -> bool:
        """More is to come: look again."""
        return self.state == "waiting"

    @property
    def kept(self) -> bool:
        """It is in use and can be taken back."""
        return self.state in {"good", "doubtful"}


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that may be wrong: whether it is, what is said of it, and what to do."""

    is_so: Callable[[Calibration], bool]
    what: Callable[[Calibration], str]
    advice: str


AGAIN = "Please do it once more."
# The first that is so is said: one thing at a time is enough to act on.
TROUBLES = (
    Trouble(
        lambda found: bool(found.unheard),
        lambda found: (
            f"Nothing was heard of the sensor on your {' and your '.join(map(body_part, found.unheard))}."
        ),
        "Move it to wake it, keep it near the gateway, and do it once more.",
    ),
    Trouble(
        lambda found: not found.repetitions,
        lambda _: "No repetition was seen.",
        "Begin when the page says so, move slowly and as far as is comfortable, and do it once more.",
    ),
    Trouble(
        lambda found: (found.repetitions or 0) < FEWEST,
        lambda found: f"Only {plural(found.repetitions or 0, 'repetition')} could be seen.",
        AGAIN,
    ),
    Trouble(
        lambda found: found.still is False,
        lambda _: "You moved while you should have kept still.",
        f"{AGAIN} Keep still until the page tells you to move.",
    ),
)


def outcome(found: Calibration | None, waited: timedelta) -> Outcome:
    """What is wrong, or that all is well. waited: since the patient has finished."""
    if found is None or not found.complete:
        return _on_its_way(late=found is None and waited > LATE_AFTER)
    if found.taken_back:
        return Outcome("taken_back", "Not used", "What was used before is used again.")
    if found.repetitions is None:
        return Outcome("waiting", "It is being measured", "This takes a few seconds.")
    trouble = next((each for each in TROUBLES if each.is_so(found)), None)
    if trouble is None:
        return Outcome(
            "good", "Well done", f"{measured(found)} From now on this exercise is measured against it."
        )
    if found.repetitions:
        kept = f"{trouble.what(found)} What was measured is used until then."
        return Outcome("doubtful", "Better once more", kept, trouble.advice)
    return Outcome("failed", "It did not work", f"{trouble.what(found)} Nothing is changed.", trouble.advice)


def _on_its_way(*, late: bool) -> Outcome:
    if not late:
        return Outcome("waiting", "Your sensors are sending", "This takes up to a minute. Nothing is lost.")
    text = "Your gateway sends it as soon as it is in touch. If your sensors were off, nothing was measured."
    return Outcome("waiting", "Nothing has arrived yet", text, "You can do it once more.")


def measured(found: Calibration) -> str:
    """`5 repetitions, knee angle 81° (± 4°).`"""
    text = plural(found.repetitions or 0, "repetition")
    if found.rom_deg is None:
        return f"{text}."
    median, spread = found.rom_deg
    around = "" if spread is None else f" (± {spread:.0f}°)"
    return f"{text}, {angle_words(found.angle).lower()} {median:.0f}°{around}."
