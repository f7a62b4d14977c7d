"""The guest's two disks: Debian with BlueZ (made once), and the project with its dependencies (made each run)."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
ROOM = Path(__file__).resolve().parent
CACHE = REPOSITORY / ".homestretch" / "bluez-vm"
UV = REPOSITORY / ".tools" / "bin" / "python"

SUITES = {"bookworm": ("3.11", "x86_64-manylinux_2_36"), "trixie": ("3.13", "x86_64-manylinux_2_40")}
"""Debian release -> its Python, for which the dependencies are fetched, whatever the host has; wheels it takes."""
SUITE = os.environ.get("RTM_BLUEZ_SUITE", "trixie")
PACKAGES = ("linux-image-amd64", "bluez", "dbus", "kmod", "python3")
HOST_PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "genext2fs": "genext2fs",
}
"""Program -> Debian package."""
_PAYLOAD_ROOM = 1.5
"""Size of the second disk over that of its files: inodes and block ends."""


class BluezVmError(Exception):
    """The run cannot take place; the message is one plain sentence."""


@dataclass(frozen=True, slots=True)
class Disks:
    """What qemu is started with."""

    kernel: Path
    initrd: Path
    root: Path
    payload: Path


def _search_path() -> str:
    """Debian keeps mke2fs in /usr/sbin, which is not on every user's path."""
    return os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


def run(*command: str | Path) -> None:
    """Run a command. Raises BluezVmError with what it said last."""
    environment = os.environ | {"PATH": _search_path(), "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(  # noqa: S603 - fixed commands, no shell
        [str(part) for part in command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        text=True,
    )
    if done.returncode != 0:
        said = (done.stdout.strip().splitlines() or ["nothing was said"])[-1]
        raise BluezVmError(f"`{command[0]}` failed: {said}")


def missing_packages() -> list[str]:
    """Debian packages of programs that are not there."""
    path = _search_path()
    return [package for program, package in HOST_PROGRAMS.items() if shutil.which(program, path=path) is None]


def install_programs() -> None:
    """As root on Debian, unless RTM_NO_APT is set; else say what is missing. Raises BluezVmError."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise BluezVmError("The guest is made on Linux on x86-64 only.")
    packages = missing_packages()
    if not packages:
        return
    wanted = f"apt-get install {' '.join(packages)}"
    if os.environ.get("RTM_NO_APT") or os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise BluezVmError(f"Programs are missing; as root: {wanted}")
    print(f"bluez-vm: {wanted} ...", flush=True)
    run("apt-get", "update", "-qq")
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages)


def prepare() -> Disks:
    """Both disks. Raises BluezVmError."""
    if SUITE not in SUITES:
        raise BluezVmError(f"RTM_BLUEZ_SUITE is {SUITE!r}; it may be {' or '.join(SUITES)}.")
    install_programs()
    CACHE.mkdir(parents=True, exist_ok=True)
    return Disks(*_debian(), _payload())


def _debian() -> tuple[Path, Path, Path]:
    """Kernel, initial RAM disk and root file system, made anew when the recipe changes or after `make clean`."""
    enter = ROOM / "enter.sh"
    recipe = repr((SUITE, PACKAGES)).encode() + enter.read_bytes()
    folder = CACHE / f"debian-{hashlib.sha256(recipe).hexdigest()[:12]}"
    root = folder / "root.ext2"
    if not root.exists():
        print(f"bluez-vm: making a Debian {SUITE} with {', '.join(PACKAGES)} ...", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        unfinished = folder / "unfinished.ext2"
        run(
            *(
                "mmdebstrap",
                "--quiet",
                "--variant=minbase",
                "--format=ext2",
                f"--include={','.join(PACKAGES)}",
            ),
            '--customize-hook=mkdir "$1/payload"',
            '--customize-hook=touch "$1/etc/machine-id"',
            f"--customize-hook=upload '{enter}' /sbin/enter-bluez-vm",
            '--customize-hook=chmod 755 "$1/sbin/enter-bluez-vm"',
            f"--customize-hook=copy-out /boot '{folder}'",
            *(SUITE, unfinished),
        )
        unfinished.rename(root)
    boot = folder / "boot"
    return next(boot.glob("vmlinuz-*")), next(boot.glob("initrd.img-*")), root


def _payload() -> Path:
    """Dependencies as locked, the project as it stands, and the stages."""
    locked = hashlib.sha256((REPOSITORY / "uv.lock").read_bytes()).hexdigest()[:12]
    dependencies = CACHE / f"dependencies-{SUITE}-{locked}"
    python, wheels = SUITES[SUITE]
    target = ("--python-version", python, "--python-platform", wheels)
    uv = (UV, "-m", "uv", "--quiet")
    if not dependencies.exists():
        print("bluez-vm: fetching the dependencies as locked ...", flush=True)
        wanted, unfinished = CACHE / "requirements.txt", CACHE / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        extras = ("--no-dev", "--no-emit-project", "--extra", "gateway", "--extra", "sim")
        run(*uv, "export", "--frozen", "--project", REPOSITORY, *extras, "--output-file", wanted)
        run(*uv, "pip", "install", *target, "--only-binary", ":all:", "--target", unfinished, "-r", wanted)
        unfinished.rename(dependencies)
    tree = CACHE / "payload"
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(dependencies, tree / "site", copy_function=os.link)  # links: nothing writes to them
    project = CACHE / "project"
    shutil.rmtree(project, ignore_errors=True)
    run(*uv, "pip", "install", *target, "--no-deps", "--target", project, REPOSITORY)
    shutil.copytree(project, tree / "site", dirs_exist_ok=True)
    shutil.copytree(ROOM, tree / "site" / "deploy" / ROOM.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOM / "init.sh", tree)
    size = sum(path.lstat().st_size for path in tree.rglob("*"))
    disk = CACHE / "payload.ext4"
    megabytes = f"{int(size * _PAYLOAD_ROOM) >> 20}M"
    run("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-d", tree, disk, megabytes)
    return disk
