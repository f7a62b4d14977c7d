"""Billing of remote therapeutic monitoring: evidence in, claim lines with reasons out.

Pure: no clock, no file, no database. Not legal advice.
"""

from .errors import CaseError
from .evaluate import evaluate
from .rules import RULES_VERSION
from .settings import settings_table

__all__ = ["RULES_VERSION", "CaseError", "evaluate", "settings_table"]
