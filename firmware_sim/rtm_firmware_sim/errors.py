"""The one error of this package."""

from __future__ import annotations


class SimulatorError(ValueError):
    """The simulator cannot do what was asked; the message is one plain sentence."""
