"""How long the pure evaluation of a month takes: `python benchmarks/billing.py [--patients 100000]`.

Every patient has 20 readings, 6 time entries and a set-up in the month; decoding is part of the figure.
"""

import argparse
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from rtm_billing import evaluate
from rtm_billing.kit.build import case


def patient(chance: random.Random) -> dict[str, Any]:
    """One patient's case of March 2026."""
    month = datetime(2026, 3, 1, 14, tzinfo=UTC)
    entries = []
    for _ in range(6):
        start = month + timedelta(hours=chance.randrange(0, 700), seconds=chance.randrange(3600))
        end = start + timedelta(seconds=chance.randrange(60, 600))
        contact = chance.choice([None, None, "phone", "video"])
        entries.append(
            {
                "start": start.isoformat(),
                "end": end.isoformat(),
                "by": f"pt{chance.randrange(3)}",
                "role": chance.choice(["therapist", "therapist", "assistant"]),
                "contact": contact,
            }
        )
    readings = [
        {
            "at": (month + timedelta(days=chance.randrange(30), minutes=i)).isoformat(),
            "zone": "America/New_York",
        }
        for i in range(20)
    ]
    setup = {"on": "2026-03-01", "assistant_share": 0.0}
    return case({"episode.setup": setup}, as_of="2026-04-05", data=readings, management=entries)


def main() -> None:
    """Evaluate and print the seconds for all patients."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)  # noqa: S311  # sample data, not a secret
    cases = [patient(chance) for _ in range(min(options.patients, 2000))]
    lines = 0
    start = time.process_time()
    for number in range(options.patients):
        answer = evaluate(cases[number % len(cases)])
        lines += len(answer["lines"])  # type: ignore[arg-type]  # a list
    seconds = time.process_time() - start
    print(f"{options.patients} patients, {lines} lines: {seconds:.1f} s of one core (goal 60 s for 100000)")


if __name__ == "__main__":
    main()
