"""Try mutants quickly: the tests are read once, then each mutant has a fork of its own and the tests that reach it.

What killed most comes first, then what is quick; the first failure ends it. Forks share nothing that a test or a
mutant left behind. A mutant that runs on is stopped by its processor time, so a busy machine changes no verdict.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from benchmarks.mutation_copy import BENCH, function_of

NOT_ASKED = "not bent and not junk and not pyx12"  # bent data, and what takes seconds a claim
UNDER_TEST = "MUTANT_UNDER_TEST"  # mutmut's name for it
MOST_MEMORY = 2 << 30  # bytes: a loop that only appends ends here

Tell = Callable[[str, str], None]


def run(mutants: list[str], tell: Tell) -> None:
    """Try the mutants of `BENCH`, telling of each `killed`, `out of time`, `survived` or `no test`."""
    os.chdir(BENCH)
    sys.path.insert(0, str(BENCH))
    os.environ |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "RTM_TORTURE_EXAMPLES": "20", UNDER_TEST: ""}
    loop = Loop(mutants, tell)
    said = sys.stdout
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        loop.said = said
        code = pytest.main(
            # to tell why a test failed would take forty times as long as to fail
            ["--import-mode=importlib", "-p", "no:cacheprovider", "-W", "error", "--capture=no", "--tb=no",
             "--assert=plain", "-k", NOT_ASKED, "tests/rtm_billing"],
            plugins=[loop],
        )  # fmt: skip
    if code != pytest.ExitCode.OK:
        raise RuntimeError(f"the tests themselves do not pass or cannot be read: pytest ended with {code!r}")


class Loop:
    """A pytest plugin in place of its loop over the tests."""

    def __init__(self, mutants: list[str], tell: Tell) -> None:
        self.mutants = mutants
        self.tell = tell
        self.said: Any = sys.stdout
        self.kills: Counter[int] = Counter()

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Which test reaches which function, then mutant by mutant."""
        origin = import_module("rtm_billing").__file__
        if origin is None or not Path(origin).is_relative_to(BENCH):
            raise RuntimeError(f"the tests would ask {origin}, not the copy")
        reach = self._reach(session)
        for number, mutant in enumerate(self.mutants, start=1):
            tests = reach.get(function_of(mutant), {})
            order = sorted(tests, key=lambda test: (-self.kills[test], tests[test]))
            verdict, killer = "no test", None
            if order:
                limit = int(3 + 3 * sum(tests.values()))
                verdict, killer = _fork(partial(_first_failure, session, order), mutant, limit)
            if killer is not None:
                self.kills[killer] += 1
            self.tell(mutant, verdict)
            if number % 50 == 0 or number == len(self.mutants):
                print(f"{number} of {len(self.mutants)} tried", file=self.said, flush=True)
        return True

    def _reach(self, session: pytest.Session) -> dict[str, dict[int, float]]:
        """Of each function the tests that call it, with their seconds; asked in a fork, like everything."""

        def ask() -> object:
            hits: set[str] = set()
            mutmut = import_module("mutmut.mutation.trampoline")
            mutmut.__dict__["record_trampoline_hit"] = lambda name, **_: hits.add(name)
            reach: dict[str, dict[int, float]] = {}
            for test in range(len(session.items)):
                hits.clear()
                began = time.process_time()
                if _first_failure(session, [test]) is not None:
                    return session.items[test].nodeid
                for name in hits:
                    reach.setdefault(name, {})[test] = time.process_time() - began
            return reach

        _, found = _fork(ask, "stats", 600)
        if not isinstance(found, dict):
            raise RuntimeError(f"without any mutant this test fails: {found}")  # noqa: TRY004  # no matter of types
        return {name: {int(test): cost for test, cost in tests.items()} for name, tests in found.items()}


def _first_failure(session: pytest.Session, tests: list[int]) -> int | None:
    """Run tests in their order; the first that fails, None where all pass."""
    for test in tests:
        item = session.items[test]
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        if session.testsfailed:
            return test
    return None


def _fork(work: Callable[[], object], mutant: str, seconds: int) -> tuple[str, Any]:
    """What `work` gives with a mutant in force: `survived` with None, `killed` with what else it gave."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        os.environ[UNDER_TEST] = mutant
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + seconds, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, resource.RLIM_INFINITY))
        code = 70
        try:
            found = work()
            with os.fdopen(writer, "w") as answer:
                json.dump(found, answer)
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status == -signal.SIGXCPU:
        return "out of time", None
    if status != 0:  # what broke even pytest's own report of it
        return "killed", None
    found = json.loads(text)
    return ("survived" if found is None else "killed"), found
