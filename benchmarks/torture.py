"""`make torture`: the long fault campaign and the long property runs. The same seed draws the same faults.

make torture ARGS="--hours 1 --seed 4"            an hour of the recording's time, about 150 faults
make torture ARGS="--only billing"                100 000 examples of every property of the billing rules
make torture ARGS="--short --mistake free-before-stored"   a negative control, which must fail
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.campaign import campaign, faults
from benchmarks.campaign.table import table

SHORT_S = 20.0
SHORT_KINDS = [*faults.SENSOR_KINDS, *faults.HOME_KINDS, "link lost", "gateway kill -9"]
CONTROL_S = 8.0
CONTROL = [
    faults.Fault(1.0, "server dies before commit", None, 0.5),
    faults.Fault(5.0, "gateway kill -9", None, 0.2),
]
"""Enough to find out each mistake."""
MISTAKES = ("ack-before-commit", "delete-on-puback", "free-before-stored", "no-fsync")
PARTS = ("campaign", "billing")
BILLING_TESTS = [
    str(Path("tests") / "rtm_billing" / f"test_billing_{name}.py") for name in ("properties", "third_reading")
]


def plan_of(options: argparse.Namespace) -> campaign.Plan:
    """What the command line asks for."""
    seed = random.SystemRandom().randrange(1, 10**6) if options.seed is None else options.seed
    if options.short and options.mistake is not None:
        return campaign.Plan(
            seed, CONTROL, CONTROL_S, speed=10.0, sensors=1, flash=20_000,
            broker=options.broker, server=options.server, mistake=options.mistake, patience_s=5.0, pace_s=60.0,
        )  # fmt: skip
    if options.short:
        deck = faults.one_of_each(seed, wall_s=SHORT_S, sensors=options.sensors, kinds=SHORT_KINDS)
        return campaign.Plan(
            seed, deck, SHORT_S, speed=10.0, sensors=options.sensors, flash=6000,
            broker=options.broker, server=options.server, pace_s=3.0,
        )  # fmt: skip
    wall_s = options.hours * 3600.0 / options.speed
    drawn = faults.hour(seed, wall_s=wall_s, speed=options.speed, sensors=options.sensors)
    return campaign.Plan(
        seed, drawn, wall_s, speed=options.speed, sensors=options.sensors,
        flash=round(50.0 * options.speed * 30.0), broker=options.broker, server=options.server,
        mistake=options.mistake,
    )  # fmt: skip


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def run_campaign(options: argparse.Namespace) -> bool:
    """The campaign and its table; True when nothing was lost, doubled or left unsaid."""
    plan = plan_of(options)
    print(
        f"seed {plan.seed}: {len(plan.faults)} faults in {plan.seconds:.0f} s, {plan.sensors} sensors",
        flush=True,
    )
    report = asyncio.run(campaign.run(plan, _say))
    print(table(report))
    if options.json:
        counts = dataclasses.asdict(report.verdict) | {"ok": report.ok, "settled": report.settled}
        print(json.dumps(counts | {"seed": plan.seed, "faults": report.done, "told": report.told}))
    if options.log or not report.ok:
        print(report.log, file=sys.stderr)
    return report.ok


def run_billing(options: argparse.Namespace) -> bool:
    """The billing rules' properties, by the ten thousand."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        *BILLING_TESTS,
        "-q",
        "--timeout",
        "86400",
        "-p",
        "no:cacheprovider",
    ]
    print(f"{options.examples} examples of every property of {' and '.join(BILLING_TESTS)}", flush=True)
    environment = os.environ | {"RTM_TORTURE_EXAMPLES": str(options.examples)}
    return (
        subprocess.run(command, env=environment, cwd=Path(__file__).parents[1], check=False).returncode == 0
    )


def main(arguments: list[str]) -> int:
    """Run what is asked for; 1 where something was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=PARTS, help="this part alone")
    parser.add_argument("--hours", type=float, default=1.0, help="of the recording's time")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--speed", type=float, default=6.0, help="1 = real time")
    parser.add_argument("--sensors", type=int, default=2, choices=(1, 2, 3))
    parser.add_argument("--broker", choices=("iotcore", "mosquitto"), default="iotcore")
    parser.add_argument(
        "--server", choices=("verifying", "platform"), default="verifying", help="platform: rtm ingest"
    )
    parser.add_argument("--short", action="store_true", help="one fault of each kind, under a minute")
    parser.add_argument("--mistake", choices=MISTAKES, help="a negative control")
    parser.add_argument("--json", action="store_true", help="the verdict as one more line")
    parser.add_argument("--log", action="store_true", help="the gateway's log to standard error, at the end")
    parser.add_argument("--examples", type=int, default=100_000, help="of each billing property")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the broker and the gateway end with us
    parts = {"campaign": run_campaign, "billing": run_billing}
    chosen = [options.only] if options.only else ["campaign"] if options.short else list(PARTS)
    results = [parts[part](options) for part in chosen]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
