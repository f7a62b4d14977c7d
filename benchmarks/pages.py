"""How long the billing month takes to load: `python benchmarks/pages.py [--patients 120]`.

A throw-away PostgreSQL, a furnished clinic, one evaluation of the whole month as the page does it. Beside it the same
with the ledger's readings joined to the view `analysis_current`, which PostgreSQL computes for the whole clinic.
"""

import argparse
import shutil
import statistics
import time
from datetime import date

from rtm_server import ledger, migrate
from rtm_server.crypto import MasterKey
from rtm_server.embedded_postgres import EmbeddedPostgres
from rtm_server.store import Store
from rtm_server.testing import scratch_folder
from rtm_server.web import clinic
from rtm_server.web.billing import repository
from rtm_server.web.testing import NOW, PROFILES, House, furnish

LATERAL = ledger._DATA
_START, _END = "CROSS JOIN LATERAL (", ") a\n"
BY_VIEW = (
    LATERAL[: LATERAL.index(_START)]
    + "JOIN analysis_current a USING (tenant_id, recording_id)\n"
    + LATERAL[LATERAL.index(_END) + len(_END) :]
)


def seconds(store: Store, house: House, query: str, runs: int) -> tuple[float, int]:
    """Median time of loading the month with this query, and its lines."""
    ledger._DATA = query
    times = []
    lines = 0
    for _ in range(runs):
        started = time.perf_counter()
        with store.tenant_tx(house.tenant) as tx:
            at = clinic.clinic(tx, house.tenant)
            lines = len(repository.load(store, tx, at, date(2026, 11, 1), NOW).month.lines)
        times.append(time.perf_counter() - started)
    return statistics.median(times), lines


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=120)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    folder = scratch_folder("rtm-bench-")
    server = EmbeddedPostgres(folder / "pg")
    server.start()
    try:
        migrate.upgrade(server.owner_dsn)
        with Store(server.dsn, MasterKey(bytes(32))) as store:
            house = furnish(store, (PROFILES * options.patients)[: options.patients])
            lateral, lines = seconds(store, house, LATERAL, options.runs)
            by_view, same = seconds(store, house, BY_VIEW, options.runs)
    finally:
        server.destroy()
        shutil.rmtree(folder)
    if same != lines:
        raise SystemExit("the two ways do not agree")
    print(
        f"{options.patients} patients, {lines} lines: {lateral:.2f} s"
        f" ({1000 * lateral / options.patients:.1f} ms a patient);"
        f" through the view {by_view:.2f} s, ratio {by_view / lateral:.1f}"
    )


if __name__ == "__main__":
    main()
