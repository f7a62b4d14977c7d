"""Homestretch: the `rtm` command and the demo, the only place that knows every component."""

from importlib.metadata import version

__version__ = version("homestretch")
