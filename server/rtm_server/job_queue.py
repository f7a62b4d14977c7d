"""Deferring a job inside the transaction that makes it necessary: both stand or fall together.

The queue is procrastinate's (`rtm_server.jobs` runs it). Its tables hold ids only.
"""

from __future__ import annotations

from uuid import UUID

from psycopg.types.json import Jsonb

from rtm_server.store import Tx

QUEUE = "analysis"
ANALYSE = "analyse"

# The newest day first: somebody waits for today's result, nobody for last month's.
# `lock`: one analysis of a recording at a time. `queueing_lock`: at most one waits, and whoever finds one waiting
# need not add another: it will read the recording after our commit, because it waits for our lock on the row.
_DEFER = """
INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, queueing_lock, args)
SELECT %s, %s, extract(epoch FROM opened_at)::bigint / 86400, %s, %s, %s
FROM recording WHERE tenant_id = %s AND recording_id = %s
ON CONFLICT DO NOTHING
"""


def analyse(tx: Tx, tenant: UUID, recording: UUID) -> None:
    """Have a recording analysed after commit. The caller holds the lock on its row of `recording`."""
    args = Jsonb({"tenant": str(tenant), "recording": str(recording)})
    tx.execute(_DEFER, (QUEUE, ANALYSE, str(recording), str(recording), args, tenant, recording))
