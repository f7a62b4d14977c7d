"""All worked cases, by subject. Every case is one sentence of the rules and the answer to it."""

from . import (
    clock_cases,
    doubt_cases,
    management_cases,
    other_cases,
    sent_cases,
    setup_cases,
    supply_cases,
    time_cases,
    visit_cases,
    window_cases,
    year_cases,
)
from .model import Worked

WORKED: tuple[Worked, ...] = (
    *supply_cases.CASES,
    *window_cases.CASES,
    *year_cases.CASES,
    *setup_cases.CASES,
    *clock_cases.CASES,
    *management_cases.CASES,
    *time_cases.CASES,
    *other_cases.CASES,
    *sent_cases.CASES,
    *doubt_cases.CASES,
    *visit_cases.CASES,
)
