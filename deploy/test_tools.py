"""Say what the tests need of the system, and install it where that is allowed.

The page tests drive Debian's Chromium, the broker tests Debian's Mosquitto, those of the pairing agent a D-Bus
daemon. As root on a Debian system
they are installed with apt-get unless RTM_NO_APT is set; elsewhere the tests that need them are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Tool:
    program: str
    packages: tuple[str, ...]
    tests: str


TOOLS = (
    Tool("chromium", ("chromium", "fonts-dejavu-core"), "the page tests (pages opened in a real browser)"),
    Tool("mosquitto", ("mosquitto",), "the tests against the Mosquitto broker"),
    Tool("dbus-daemon", ("dbus-daemon",), "the tests of BlueZ's pairing agent over a real D-Bus"),
)


def missing() -> list[Tool]:
    """The tools that are on no search path; Debian keeps servers in /usr/sbin."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))
    return [tool for tool in TOOLS if shutil.which(tool.program, path=path) is None]


def apt_may_run() -> bool:
    return (
        os.environ.get("RTM_NO_APT", "") == ""
        and hasattr(os, "geteuid")
        and os.geteuid() == 0
        and shutil.which("apt-get") is not None
    )


def install(tools: list[Tool]) -> bool:
    packages = [package for tool in tools for package in tool.packages]
    print(f"Tests need the Debian packages {', '.join(packages)}; installing them.", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
    ):
        done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)  # noqa: S603
        if done.returncode != 0:
            print(f"`{' '.join(command)}` failed.", file=sys.stderr)
            return False
    return True


def main() -> None:
    tools = missing()
    if tools and apt_may_run():
        install(tools)
        tools = missing()
    for tool in tools:
        print(
            f"{tool.program} is not installed: {tool.tests} will be skipped "
            f"(apt-get install {' '.join(tool.packages)})."
        )
    if not tools:
        print("Everything the tests need of the system is installed.")


if __name__ == "__main__":
    main()
