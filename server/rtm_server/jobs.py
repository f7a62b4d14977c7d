"""The worker: procrastinate runs one job a recording, in any number of processes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import structlog
from procrastinate import App, PsycopgConnector, RetryStrategy
from procrastinate.exceptions import ConnectorException
from psycopg import AsyncConnection
from psycopg_pool import PoolTimeout

from rtm_server import analyses, job_queue, metrics
from rtm_server.settings import Settings
from rtm_server.store import Store, Unavailable
from rtm_signal import analysis as pipeline

log = structlog.get_logger(__name__)

# What should have a result and has none: jobs lost with a queue. `analysed` is written only with the result of the
# data as they are, and whoever adds data takes it back, so the state alone tells, and there is an index of it.
_UNFINISHED = """
SELECT r.recording_id FROM recording r WHERE r.tenant_id = %s AND r.state = 'complete'
ORDER BY r.recording_id FOR UPDATE
"""
# Recordings of before pieces were kept: an archive of them, a few at each sweep beside today's work.
_WITHOUT_PIECES = """
SELECT r.recording_id FROM recording r WHERE r.tenant_id = %s AND r.state = 'analysed' AND NOT r.pieces_kept
ORDER BY r.recording_id LIMIT 500 FOR UPDATE
"""
# Those, and what has no result of this pipeline: asked for once after a release, and looks at every recording.
_OUTDATED = """
SELECT r.recording_id FROM recording r
LEFT JOIN LATERAL (
    SELECT n.pipeline_version FROM analysis n
    WHERE n.tenant_id = r.tenant_id AND n.recording_id = r.recording_id
    ORDER BY n.analysis_no DESC LIMIT 1) a ON true
WHERE r.tenant_id = %s AND r.state <> 'incomplete'
  AND (r.state = 'complete' OR a.pipeline_version IS DISTINCT FROM %s)
ORDER BY r.recording_id FOR UPDATE OF r
"""


# A worker killed at work leaves its job `doing` for ever, and the job's lock keeps the recording from being analysed.
# Its job is dropped; what it was about is found by the rest of the sweep.
_DROP_STALLED = """
DELETE FROM procrastinate_jobs j WHERE j.status = 'doing' AND j.queue_name = %s AND NOT EXISTS (
    SELECT 1 FROM procrastinate_workers w WHERE w.id = j.worker_id AND w.last_heartbeat > now() - %s)
"""
_STALLED = timedelta(seconds=45)  # procrastinate's heartbeat comes every 10 s
_NO_TENANT = UUID(int=0)  # the queue's tables have none
_AWAY = (Unavailable, ConnectorException, psycopg.OperationalError, PoolTimeout)
_PAUSE_S = 1.0  # before a worker that lost the database starts again


def make_app(dsn: str, store: Store) -> App:
    """The queue's application, with its one task and the sweep that finds what is not analysed."""
    app = App(connector=PsycopgConnector(conninfo=dsn, min_size=1, max_size=4, configure=_become_app))

    @app.task(
        name=job_queue.ANALYSE,
        queue=job_queue.QUEUE,
        retry=RetryStrategy(max_attempts=8, exponential_wait=2, retry_exceptions={Unavailable}),
    )
    def analyse(tenant: str, recording: str) -> None:
        _analyse(store, UUID(tenant), UUID(recording))

    @app.periodic(cron="* * * * *")
    @app.task(name="sweep", queue=job_queue.QUEUE, queueing_lock="sweep", pass_context=False)
    def sweep_all(timestamp: int) -> None:
        del timestamp
        sweep(store)

    del analyse, sweep_all
    return app


def _analyse(store: Store, tenant: UUID, recording: UUID) -> None:
    """A recording on which the pipeline breaks is marked and left until more data or a new pipeline come."""
    try:
        analyses.analyse(store, tenant, recording)
    except Unavailable:
        raise
    except Exception as error:
        metrics.ANALYSES.labels("failed").inc()
        # The kind of error only: its text might hold what was measured.
        log.warning("an analysis broke", recording=str(recording), error=type(error).__name__)
        with store.tenant_tx(tenant) as tx:
            tx.execute(
                "UPDATE recording SET state = 'failed' WHERE tenant_id = %s AND recording_id = %s",
                (tenant, recording),
            )
        raise


def sweep(store: Store, *, renew: bool = False) -> int:
    """Defer a job for every complete recording without a current result; with `renew`, also for older pipelines."""
    with store.tenant_tx(_NO_TENANT) as tx:
        tx.execute(_DROP_STALLED, (job_queue.QUEUE, _STALLED))
    found = 0
    for tenant in store.tenants():
        unfinished = (_OUTDATED, (tenant, pipeline.PIPELINE_VERSION)) if renew else (_UNFINISHED, (tenant,))
        for query, values in (unfinished, (_WITHOUT_PIECES, (tenant,))):
            with store.tenant_tx(tenant) as tx:  # one each: whoever locks recordings locks them in order
                rows = tx.execute(query, values).fetchall()
                for row in rows:
                    job_queue.analyse(tx, tenant, row["recording_id"])
            found += len(rows)
    return found


class Worker:
    """One worker process' loop, for a main program or a thread of the demo. `run` returns after `stop`."""

    def __init__(self, settings: Settings, store: Store, dsn: str) -> None:
        """dsn: the application's sign-in, for the queue's own connections."""
        self._settings = settings
        self._store = store
        self._dsn = dsn
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopped = threading.Event()

    def run(self, *, until_idle: bool = False) -> None:
        """Work until stopped, or until nothing waits."""
        while not self._stopped.is_set():
            try:
                sweep(self._store)
                asyncio.run(self._work(until_idle))
            except _AWAY:
                if until_idle:
                    raise
            # procrastinate returns quietly when its listener loses the database; only we or idleness end the work.
            if until_idle or self._stopped.wait(_PAUSE_S):
                return
            log.warning("the worker starts again: the database did not answer")

    def stop(self) -> None:
        """Finish the job at hand and return from `run`. From any thread."""
        self._stopped.set()
        loop, task = self._loop, self._task
        if loop is not None and task is not None:
            with contextlib.suppress(RuntimeError):  # the loop ended between the two lines
                loop.call_soon_threadsafe(task.cancel)

    async def _work(self, until_idle: bool) -> None:
        app = make_app(self._dsn, self._store)
        async with app.open_async():
            self._loop = asyncio.get_running_loop()
            self._task = asyncio.create_task(
                app.run_worker_async(
                    queues=[job_queue.QUEUE],
                    name="homestretch",
                    concurrency=self._settings.worker_concurrency,
                    wait=not until_idle,
                    listen_notify=not until_idle,
                    delete_jobs="successful",
                    install_signal_handlers=False,
                )
            )
            if self._stopped.is_set():
                self._task.cancel()
            try:
                await self._task
            except asyncio.CancelledError:
                if not self._stopped.is_set():
                    raise
            finally:
                self._loop = self._task = None  # `stop` must not call into a loop that has ended


def run(settings: Settings, store: Store, dsn: str) -> None:
    """`rtm worker`: work until SIGTERM or SIGINT."""
    worker = Worker(settings, store, dsn)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    worker.run()


async def _become_app(connection: AsyncConnection[Any]) -> None:
    """As in `store`: never more rights than the application's."""
    await connection.execute("SET ROLE rtm_app")
    await connection.commit()
