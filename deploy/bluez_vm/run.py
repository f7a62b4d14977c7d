"""`make bluez-vm`: the gateway on a real BlueZ, in an emulated Debian, against the simulator behind /dev/vhci.

Prints the guest's console as it comes and a table at the end; exits 0 when every stage holds. Runs without
KVM, as any user once the Debian packages are there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

from deploy.bluez_vm.image import BluezVmError, Disks, prepare
from deploy.bluez_vm.result import read, table

LONGEST_S = 3600.0
"""The stages take some five minutes emulated, half an hour beside other work. A guest that hangs is ended then."""
MEMORY_MB = 1024


def command(disks: Disks) -> list[str]:
    """One processor, two read-only disks, a serial line, no network."""
    return [
        *("nice", "-n", "10", "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", "1"),
        *("-m", str(MEMORY_MB), "-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio"),
        *("-kernel", str(disks.kernel), "-initrd", str(disks.initrd)),
        *("-append", "root=/dev/vda ro console=ttyS0 quiet panic=-1 init=/sbin/enter-bluez-vm"),
        *("-drive", f"file={disks.root},format=raw,if=virtio,readonly=on"),
        *("-drive", f"file={disks.payload},format=raw,if=virtio,readonly=on"),
    ]


def boot(disks: Disks) -> list[str]:
    """Run the guest to its end; its console, line by line."""
    guest = subprocess.Popen(  # noqa: S603 - the fixed command above
        command(disks),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    alarm = threading.Timer(LONGEST_S, guest.kill)
    alarm.start()
    console: list[str] = []
    try:
        for line in guest.stdout or ():
            console.append(line.rstrip())
            print(console[-1], flush=True)
    finally:
        alarm.cancel()
        guest.kill()
        guest.wait()
    return console


def qemu_version() -> str:
    """As it says itself."""
    said = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=False)  # noqa: S607
    return said.stdout.partition("version ")[2].partition("\n")[0]


def main() -> int:
    """0: every stage holds; 1: one does not, or the guest could not be run."""
    try:
        disks = prepare()
    except BluezVmError as error:
        print(f"bluez-vm: {error}", file=sys.stderr)
        return 1
    began = time.monotonic()
    results, versions = read(boot(disks))
    versions["QEMU"] = qemu_version()
    print()
    print(table(results))
    print()
    print(", ".join(f"{name} {version}" for name, version in versions.items()))
    print(f"{time.strftime('%Y-%m-%d')}; {time.monotonic() - began:.0f} s on {os.cpu_count()} cores")
    return 0 if results and all(each.ok for each in results) else 1


if __name__ == "__main__":
    sys.exit(main())
