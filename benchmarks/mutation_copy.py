"""A copy of the billing package in which every small mistake lies ready, and what each of them changes.

mutmut writes them: of each function the right one and its mutants, and one in front that calls whichever
`MUTANT_UNDER_TEST` names. It passes functions with a decorator by, so in the copy the caches are gone (one would
hide a mutant behind a value of before) and properties are made after their class.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

HOUSE = Path(__file__).parents[1]
BENCH = HOUSE / ".homestretch" / "mutation"
PACKAGE = HOUSE / "rtm_billing" / "rtm_billing"
TESTS = HOUSE / "tests" / "rtm_billing"
# these look for the docs, ask a second parser for seconds a claim, or draw cases at random
LEFT_OUT = ("test_billing_docs.py", "test_billing_second_parser.py", "test_billing_properties.py")


def make(modules: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
    """Copy package and tests, bend the modules.

    Gives the mutants' names, `rtm_billing.module.x_function__mutmut_n`, and of each function a hash of its text.
    """
    ignored = shutil.ignore_patterns("__pycache__", *LEFT_OUT)
    for name, source in (("rtm_billing", PACKAGE), ("tests/rtm_billing", TESTS)):
        shutil.rmtree(BENCH / name, ignore_errors=True)
        shutil.copytree(source, BENCH / name, ignore=ignored)
    # mutmut reads its settings where it stands; pytest takes none of the house's
    (BENCH / "pyproject.toml").write_text(
        '[tool.mutmut]\nsource_paths = ["rtm_billing"]\n[tool.pytest.ini_options]\n'
    )
    mutate = import_module("mutmut.mutation.file_mutation").mutate_file_contents
    names: list[str] = []
    hashes: dict[str, str] = {}
    for module in modules:
        path = BENCH / "rtm_billing" / f"{module}.py"
        with contextlib.chdir(BENCH):
            bent = mutate(path.name, undecorated(path.read_text()))
        path.write_text(bent.code)
        names += [f"rtm_billing.{module}.{name}" for name in bent.mutant_names]
        for function, digest in bent.hash_by_function_name.items():
            hashes[f"rtm_billing.{module}.{function}"] = digest
    return names, hashes


def undecorated(source: str) -> str:
    """The source without `lru_cache`, and with its properties made at the end."""
    tree = ast.parse(source)
    lines, after = source.splitlines(), []
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef | ast.Module):
            continue
        for function in node.body:
            if not isinstance(function, ast.FunctionDef) or len(function.decorator_list) != 1:
                continue
            decorator = function.decorator_list[0]
            name = ast.unparse(decorator)
            if name == "property" and isinstance(node, ast.ClassDef):
                after.append(f"{node.name}.{function.name} = property({node.name}.{function.name})")
            elif not name.startswith("lru_cache"):
                continue
            lines[decorator.lineno - 1] = ""
    return "\n".join([*lines, *after, ""])


def function_of(mutant: str) -> str:
    """The function a mutant is one of: `rtm_billing.module.x_function`."""
    return mutant.partition("__mutmut_")[0]


def changes(mutants: list[str]) -> Iterator[tuple[str, str]]:
    """Each mutant of the last copy with the lines it changes."""
    for module in sorted({mutant.split(".")[1] for mutant in mutants}):
        source = (BENCH / "rtm_billing" / f"{module}.py").read_text()
        bodies = {
            node.name: source.splitlines()[node.lineno : node.end_lineno]
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.FunctionDef)
        }
        for mutant in mutants:
            name = mutant.rpartition(".")[2]
            if mutant.split(".")[1] == module and name in bodies:
                right = bodies[f"{function_of(name)}__mutmut_orig"]
                difference = list(difflib.unified_diff(right, bodies[name], n=1, lineterm=""))
                yield mutant, "\n".join(line for line in difference[2:] if not line.startswith("@@"))
