"""Worked billing cases to hold any RTM product against; the runner is `python -m rtm_billing.kit`."""

from .compare import differences
from .model import Worked
from .worked import WORKED

__all__ = ["WORKED", "Worked", "differences"]
