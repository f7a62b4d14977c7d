"""The ingest worker: MQTT in, one transaction a group, then the ack. Nothing is acknowledged before COMMIT.

Any number of workers share the subscription; their only state is the database. A message is acknowledged to the
broker after COMMIT too, so that `receive maximum` holds the broker back while the database is slow.
`docs/explanation/ingest.md` tells why.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
import structlog
from paho.mqtt.client import Client, MQTTMessage

from rtm_server import audit, home_status, ingest_store, metrics
from rtm_server.ack_journal import AckJournal
from rtm_server.crypto import tenant_place
from rtm_server.ingest_items import Message, Read, Refusal, read_kept, read_message
from rtm_server.mqtt import RECEIVE_MAXIMUM, connect
from rtm_server.settings import Settings
from rtm_server.store import Store, Unavailable
from rtm_signal import wire

log = structlog.get_logger(__name__)

_BACK_OFF_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_STATUSES_HELD = 10_000
"""Gateways whose newest status waits while the database is slow; any more are heard with their next heartbeat."""
_WAITING = "SELECT quarantine_id FROM quarantine WHERE tenant_id = %s ORDER BY received_at, quarantine_id"
_KEPT = """
SELECT gateway_id, ciphertext, received_at FROM quarantine WHERE tenant_id = %s AND quarantine_id = %s
"""
_UNKNOWN_GATEWAY = "This gateway is not enrolled or was revoked."


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A message and how to acknowledge it to the broker: the connection it came by, and its number there."""

    message: Message
    connection: int
    mid: int
    qos: int


@dataclass(slots=True)
class Group:
    """What a group of messages came to: one ack a gateway, and the keys for the journal."""

    acks: dict[UUID, wire.Ack]
    committed: list[tuple[UUID, str]]


@dataclass(slots=True)
class _Answer:
    """What is gathered for one gateway's ack."""

    committed: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Replayed:
    """What became of the items of a quarantine that were fed in again."""

    stored: int = 0
    duplicate: int = 0
    refused: int = 0


class Ingest:
    """One worker. `run()` returns after `stop()`, when everything gathered is committed."""

    def __init__(
        self, settings: Settings, store: Store, mqtt_url: str, on_ready: Callable[[], None] = lambda: None
    ) -> None:
        """settings: batch size, waiting time and data folder are used; on_ready: called when the subscription
        stands, from the connection's thread. What gateways send before that they send again later."""
        self._settings = settings
        self._store = store
        self._mqtt_url = mqtt_url
        self._arrivals: queue.Queue[_Arrival] = queue.Queue(maxsize=2 * RECEIVE_MAXIMUM)
        self._stopping = threading.Event()
        self._connection = 0
        self._on_ready = on_ready
        self._heard: dict[UUID, bytes] = {}
        """The newest status of each gateway that is not stored yet."""
        self._heard_lock = threading.Lock()

    def run(self) -> None:
        """Work until stopped."""
        journal = AckJournal(self._settings.data_dir)
        client = connect(
            self._mqtt_url, f"ingest-{uuid4()}", on_connect=self._subscribe, on_message=self._arrived
        )
        client.on_subscribe = lambda *_: self._on_ready()
        client.loop_start()
        try:
            while not self._stopping.is_set():
                arrivals = self._gather()
                if arrivals:
                    self._handle(client, journal, arrivals)
                self._keep_statuses()
        finally:
            client.disconnect()
            client.loop_stop()
            journal.close()

    def stop(self) -> None:
        """Finish the group at hand and return from `run`; what is not committed is sent again by its gateway."""
        self._stopping.set()

    def _subscribe(self, client: Client) -> None:
        self._connection += 1
        client.subscribe([(wire.INGEST_FILTER, 1), (wire.STATUS_FILTER, 1)])

    def _arrived(self, client: Client, message: MQTTMessage) -> None:
        if message.topic.endswith("/status"):
            self._heard_of(message)
            client.ack(message.mid, message.qos)
            return
        try:
            gateway = wire.gateway_of(message.topic)
        except wire.WireError:
            metrics.INGEST_ITEMS.labels("bad_topic").inc()
            client.ack(message.mid, message.qos)
            return
        arrival = _Arrival(
            Message(gateway, bytes(message.payload)), self._connection, message.mid, message.qos
        )
        # Full only when the broker came back several times while the database was away. Nobody empties it once we
        # stop, and whoever joins this thread would wait for ever.
        while not self._stopping.is_set():
            with contextlib.suppress(queue.Full):
                self._arrivals.put(arrival, timeout=0.2)
                return

    def _heard_of(self, message: MQTTMessage) -> None:
        """A heartbeat: only the newest of a gateway is worth storing."""
        try:
            gateway = wire.gateway_of(message.topic)
        except wire.WireError:
            return
        with self._heard_lock:
            if len(self._heard) < _STATUSES_HELD or gateway in self._heard:
                self._heard[gateway] = bytes(message.payload)

    def _keep_statuses(self) -> None:
        """After the samples: what cannot be stored now is said again by the next heartbeat."""
        with self._heard_lock:
            heard, self._heard = self._heard, {}
        for gateway, payload in heard.items():
            try:
                owner = self._store.lookup("gateway", gateway.bytes)
                if owner is not None:
                    heartbeat = home_status.read_heartbeat(payload)
                    home_status.keep(self._store, owner[0], gateway, heartbeat, datetime.now(UTC))
            except (wire.WireError, Unavailable, psycopg.Error) as error:
                log.warning("a gateway's status is dropped", error=type(error).__name__)

    def _gather(self) -> list[_Arrival]:
        """The next messages: as many as come within the waiting time, about `ingest_batch` items at most."""
        try:
            arrivals = [self._arrivals.get(timeout=0.2)]
        except queue.Empty:
            return []
        deadline = time.monotonic() + self._settings.ingest_wait_s
        items = _count(arrivals[0])
        while items < self._settings.ingest_batch:
            try:
                arrivals.append(self._arrivals.get(timeout=max(0.0, deadline - time.monotonic())))
            except queue.Empty:
                break
            items += _count(arrivals[-1])
        return arrivals

    def _handle(self, client: Client, journal: AckJournal, arrivals: Sequence[_Arrival]) -> None:
        group = self._commit_with_patience([arrival.message for arrival in arrivals])
        if group is None:
            return
        journal.append(datetime.now(UTC).date().isoformat(), group.committed)
        for gateway, ack in group.acks.items():
            client.publish(wire.ack_topic(gateway), ack.to_json(), qos=1)
        for arrival in arrivals:
            if arrival.connection == self._connection:  # numbers of a connection that is gone mean others now
                client.ack(arrival.mid, arrival.qos)

    def _commit_with_patience(self, messages: Sequence[Message]) -> Group | None:
        """Commit, waiting for the database as long as it takes; None when stopped meanwhile."""
        attempt = 0
        while True:
            try:
                with metrics.INGEST_COMMIT_S.time():
                    return commit_group(self._store, messages, datetime.now(UTC))
            except Unavailable:
                metrics.INGEST_RETRIES.inc()
                pause = _BACK_OFF_S[min(attempt, len(_BACK_OFF_S) - 1)]
                if attempt == 0:
                    log.warning("the database does not answer; nothing is acknowledged until it does")
                attempt += 1
                if self._stopping.wait(pause):
                    return None


def commit_group(store: Store, messages: Sequence[Message], now: datetime) -> Group:
    """Commit the messages of any gateways, tenant by tenant. Raises Unavailable: then try the same again."""
    journal: list[tuple[UUID, str]] = []
    answers: defaultdict[UUID, _Answer] = defaultdict(_Answer)
    by_tenant: dict[UUID, list[Message]] = {}
    owners = {
        gateway: store.lookup("gateway", gateway.bytes) for gateway in {each.gateway for each in messages}
    }
    for message in messages:
        owner = owners[message.gateway]
        if owner is None:
            answers[message.gateway].refused += [(each.key, each.why) for each in _refuse_unknown(message)]
        else:
            by_tenant.setdefault(owner[0], []).append(message)
    for tenant, mine in by_tenant.items():
        items = [item for message in mine for item in read_message(message, tenant)]
        for outcome in _commit_tenant(store, tenant, items, now):
            journal += [(tenant, key) for _, key in outcome.committed]
            for gateway, key in outcome.committed:
                answers[gateway].committed.append(key)
            for refusal in outcome.refused:
                answers[refusal.gateway].refused.append((refusal.key, refusal.why))
            for result, n in outcome.counts.items():
                metrics.INGEST_ITEMS.labels(result).inc(n)
    acks = {
        gateway: wire.Ack(tuple(each.committed), tuple(each.refused)) for gateway, each in answers.items()
    }
    return Group(acks, journal)


def replay_quarantine(store: Store, tenant: UUID) -> Replayed:
    """Feed every item kept aside in again, as of when it came; for after what was wrong with it was put right.

    Each by itself and idempotent: what is stored already counts as a duplicate, what is refused again stays as it is.
    """
    done = Replayed()
    with store.tenant_tx(tenant) as tx:
        waiting = [row["quarantine_id"] for row in tx.execute(_WAITING, (tenant,))]
    for item in waiting:
        with store.tenant_tx(tenant) as tx:
            row = tx.execute(_KEPT, (tenant, item)).fetchone()
            if row is None:
                continue
            place = tenant_place(tenant, f"quarantine|{item}")
            data = store.tenant_key(tx, tenant).open(row["ciphertext"], place)
        items = read_kept(row["gateway_id"], tenant, data)
        for outcome in _commit_tenant(store, tenant, items, row["received_at"]):
            done.stored += outcome.counts.get("stored", 0)
            done.duplicate += outcome.counts.get("duplicate", 0)
            done.refused += len(outcome.refused)
    with store.tenant_tx(tenant) as tx:
        audit.append(tx, tenant, "quarantine.replayed", detail=asdict(done))
    return done


def _commit_tenant(
    store: Store, tenant: UUID, items: Sequence[Read], now: datetime
) -> list[ingest_store.Outcome]:
    """One transaction; if the database refuses something in it, halves, so that one bad item stops no other."""
    try:
        return [ingest_store.commit(store, tenant, items, now)]
    except psycopg.Error as error:
        log.warning("the database refused a group", items=len(items), sqlstate=error.sqlstate)
        if len(items) > 1:
            middle = len(items) // 2
            return [
                *_commit_tenant(store, tenant, items[:middle], now),
                *_commit_tenant(store, tenant, items[middle:], now),
            ]
        return [ingest_store.commit(store, tenant, [_not_storable(items[0])], now)]


def _not_storable(item: Read) -> Refusal:
    if isinstance(item, Refusal):
        raise TypeError("a quarantined item could not be stored")
    why = "The database does not accept this item."
    return Refusal(item.gateway, ingest_store.key_text(item), "not_storable", why, item.data)


def _refuse_unknown(message: Message) -> list[Refusal]:
    """Nothing can be kept for a gateway without a clinic; it keeps its items itself."""
    nobody = UUID(int=0)
    refused = []
    for item in read_message(message, nobody):
        key = item.key if isinstance(item, Refusal) else ingest_store.key_text(item)
        refused.append(Refusal(message.gateway, key, "unknown_gateway", _UNKNOWN_GATEWAY, b""))
        metrics.INGEST_ITEMS.labels("unknown_gateway").inc()
    return refused


def _count(arrival: _Arrival) -> int:
    """Items in a batch, by its own word (bytes 4 and 5), which need not be true: it only bounds the group."""
    return int.from_bytes(arrival.message.payload[4:6], "little") or 1
