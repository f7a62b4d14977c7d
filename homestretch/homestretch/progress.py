"""Progress on standard error, for anything that may take longer than two seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Report = Callable[[str, int, int], None]
"""(what, done, of): called as often as one likes."""


@contextmanager
def progress_to_stderr(title: str) -> Iterator[Report]:
    """A bar a stage; drawn only on a terminal, gone when done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, int] = {}

        def report(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(f"{title}: {what}", total=of)
            bars.update(bars.task_ids[list(tasks).index(what)], completed=done, total=of)

        yield report


@contextmanager
def working(what: str) -> Iterator[None]:
    """A sentence with a moving sign, for work of unknown length; drawn only on a terminal, gone when done."""
    with Console(stderr=True).status(what):
        yield
