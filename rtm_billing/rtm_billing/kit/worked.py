"""All worked cases, by subject. Every case is one sentence of the rules and the answer to it."""

from . import doubt_cases, management_cases, other_cases, supply_cases, visit_cases
from .model import Worked

WORKED: tuple[Worked, ...] = (
    *supply_cases.CASES,
    *management_cases.CASES,
    *other_cases.CASES,
    *doubt_cases.CASES,
    *visit_cases.CASES,
)
