"""What is public is documented: commands and options, environment variables, the names of components."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from pydantic_settings import BaseSettings

from homestretch.cli import app
from rtm_gateway.settings import GatewaySettings
from rtm_server.settings import Settings
from rtm_server.web.settings import WebSettings

ROOT = Path(__file__).resolve().parents[2]
COMPONENTS = {
    "signal": "rtm_signal",
    "rtm_billing": "rtm_billing",
    "device_gateway": "rtm_gateway",
    "firmware_sim": "rtm_firmware_sim",
    "server": "rtm_server",
    "homestretch": "homestretch",
}
INTERNAL_VARIABLES = {
    "RTM_EXIT_WITH_PARENT",  # between the demo and its own children
}


def commands() -> Iterator[tuple[str, set[str]]]:
    """(command with its parents, its options)."""

    def walk(command: object, path: str) -> Iterator[tuple[str, set[str]]]:
        options = {
            option
            for parameter in getattr(command, "params", [])
            if getattr(parameter, "param_type_name", "") == "option"
            for option in parameter.opts
            if option.startswith("--") and option not in {"--help", "--version"}
        }
        children = getattr(command, "commands", {})
        if path and not (children and not options):
            yield path, options
        for name, child in children.items():
            yield from walk(child, f"{path} {name}".strip())

    yield from walk(typer.main.get_command(app), "")


def source_files() -> Iterator[Path]:
    for component, package in COMPONENTS.items():
        yield from (ROOT / component / package).rglob("*.py")


@pytest.mark.parametrize(
    ("command", "options"), [pytest.param(*row, id=row[0]) for row in sorted(commands())]
)
def test_every_command_and_option_is_in_the_reference(command: str, options: set[str]) -> None:
    text = (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")
    assert f"`rtm {command}" in text
    section = text[text.index(f"`rtm {command}") :]
    assert not {option for option in options if f"`{option}" not in section}


def test_every_environment_variable_is_in_the_reference() -> None:
    text = (ROOT / "docs/reference/configuration.md").read_text(encoding="utf-8")
    others = (ROOT / "Makefile", *(ROOT / "deploy").rglob("*.py"), *(ROOT / "tests").rglob("*.py"))
    sources = [path.read_text(encoding="utf-8") for path in (*source_files(), *others)]
    used = {name for source in sources for name in re.findall(r"\bRTM_[A-Z][A-Z0-9_]*[A-Z0-9]\b", source)}
    constants = {
        name for source in sources for name in re.findall(r"^(RTM_[A-Z0-9_]+)\s*[:=]", source, re.MULTILINE)
    }
    assert not sorted(name for name in used - constants - INTERNAL_VARIABLES if f"`{name}`" not in text)


@pytest.mark.parametrize("settings", [Settings, WebSettings, GatewaySettings])
def test_every_setting_is_in_the_reference(settings: type[BaseSettings]) -> None:
    text = (ROOT / "docs/reference/configuration.md").read_text(encoding="utf-8")
    assert not [name for name in settings.model_fields if f"`RTM_{name.upper()}`" not in text]


@pytest.mark.parametrize(("folder", "package"), COMPONENTS.items(), ids=COMPONENTS)
def test_every_component_has_a_readme_that_names_what_it_offers(folder: str, package: str) -> None:
    text = (ROOT / folder / "README.md").read_text(encoding="utf-8")
    assert "ay import" in text, "the README says what the component may import"
    public = getattr(importlib.import_module(package), "__all__", ())
    assert not [name for name in public if name not in text]


def test_the_readme_shows_the_two_commands_and_only_files_that_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in text
    assert "make test" in text
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", text)
    assert not [link for link in links if not (ROOT / link).exists()]


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{path.relative_to(ROOT)} -> {link}"
        for path in (ROOT / "docs").rglob("*.md")
        for link in re.findall(r"\]\((?!https?://|#|mailto:)([^)#]+)", path.read_text(encoding="utf-8"))
        if not (path.parent / link).exists()
    ]
    assert not broken


def test_documents_that_code_and_prose_name_exist() -> None:
    prose = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "pyproject.toml",
        *(ROOT / "docs").rglob("*.md"),
    ]
    named = {
        name
        for path in (*source_files(), *prose)
        for name in re.findall(r"\bdocs/[a-z-]+/[a-z0-9-]+\.md", path.read_text(encoding="utf-8"))
    }
    assert not sorted(name for name in named if not (ROOT / name).exists())


def test_nothing_shadows_pythons_signal_module() -> None:
    assert not (ROOT / "signal/__init__.py").exists()
    assert not (ROOT / "tests/signal/__init__.py").exists()
