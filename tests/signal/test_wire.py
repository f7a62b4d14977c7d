"""Batches, manifests, acks, commands and topics: what is written is read, and nothing else."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtm_signal.wire import (
    CHUNK,
    MANIFEST,
    Ack,
    Command,
    Item,
    Manifest,
    ManifestStream,
    WireError,
    ack_topic,
    cmd_topic,
    gateway_of,
    live_topic,
    pack_batch,
    status_topic,
    unpack_batch,
    up_topic,
)

GATEWAY = UUID("11111111-2222-4333-8444-555555555555")
items = st.lists(
    st.tuples(st.sampled_from([CHUNK, MANIFEST]), st.binary(max_size=80)), min_size=1, max_size=20
)


@given(items)
def test_a_batch_comes_back(entries: list[tuple[int, bytes]]) -> None:
    assert unpack_batch(pack_batch(entries)) == [Item(*entry) for entry in entries]


@given(items, st.data())
def test_a_truncated_or_longer_batch_is_refused(
    entries: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    whole = pack_batch(entries)
    with pytest.raises(WireError):
        unpack_batch(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(WireError):
        unpack_batch(whole + b"\0")


@given(st.binary(max_size=60), st.sampled_from([b"", b"HSB1", b"HSB1\xff\xff\x01\xff\xff\xff\xff"]))
def test_foreign_bytes_are_an_error_or_items_within_them(data: bytes, start: bytes) -> None:
    try:
        found = unpack_batch(start + data)
    except WireError:
        return
    assert sum(len(item.data) + 5 for item in found) + 6 == len(start + data)


@pytest.mark.parametrize("entries", [[], [(3, b"")], [(CHUNK, bytes(17 << 20))], [(CHUNK, b"")] * 65536])
def test_a_batch_that_cannot_be_is_not_packed(entries: list[tuple[int, bytes]]) -> None:
    with pytest.raises(WireError):
        pack_batch(entries)


@st.composite
def streams(draw: st.DrawFn) -> ManifestStream:
    edges = draw(st.lists(st.integers(0, 2**64 - 1), min_size=2, max_size=8, unique=True).map(sorted))
    inner = edges[1:-1]
    return ManifestStream(
        sensor=draw(st.uuids()),
        stream=draw(st.uuids()),
        name=draw(st.sampled_from(["imu", "acc", "gyr"])),
        placement=draw(st.sampled_from(["left_thigh", "wrist"])),
        boot=draw(st.integers(0, 2**32 - 1)),
        first=edges[0],
        last=edges[-1],
        lost=tuple((inner[k], inner[k + 1] - 1) for k in range(0, len(inner) - 1, 2)),
    )


manifests = st.builds(
    Manifest,
    tenant=st.uuids(),
    recording=st.uuids(),
    revision=st.integers(1, 10**6),
    gateway=st.uuids(),
    exercise=st.sampled_from([None, "squat", "shoulder_abduction"]),
    opened_at=st.datetimes(timezones=st.just(UTC)),
    closed_at=st.datetimes(timezones=st.just(UTC)),
    closed_by=st.sampled_from(["stop", "idle", "removal"]),
    streams=st.lists(streams(), max_size=4).map(tuple),
)


@given(manifests)
@settings(max_examples=60)
def test_a_manifest_comes_back(manifest: Manifest) -> None:
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert manifest.key == f"m:{manifest.recording}:{manifest.revision}"


def example() -> Manifest:
    opened = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
    stream = ManifestStream(
        sensor=GATEWAY,
        stream=GATEWAY,
        name="imu",
        placement="wrist",
        boot=1,
        first=5,
        last=99,
        lost=((7, 8),),
    )
    return Manifest(
        tenant=GATEWAY,
        recording=GATEWAY,
        revision=1,
        gateway=GATEWAY,
        exercise="squat",
        opened_at=opened,
        closed_at=opened + timedelta(minutes=4),
        closed_by="stop",
        streams=(stream,),
    )


def every_path(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    children: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    return [path, *(found for key, child in children for found in every_path(child, (*path, key)))]


PATHS = [path for path in every_path(json.loads(example().to_json())) if path]


@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize("wrong", [{"x": 1}, -1, True, "no such thing", 1.5], ids=repr)
def test_every_field_of_a_manifest_is_checked(path: tuple[str | int, ...], wrong: object) -> None:
    raw = json.loads(example().to_json())
    at = raw
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = wrong
    with pytest.raises(WireError):
        Manifest.from_json(json.dumps(raw).encode())


@pytest.mark.parametrize("path", [path for path in PATHS if isinstance(path[-1], str)], ids=str)
def test_a_missing_or_unknown_field_is_refused(path: tuple[str | int, ...]) -> None:
    for change in ("missing", "unknown"):
        raw = json.loads(example().to_json())
        at = raw
        for key in path[:-1]:
            at = at[key]
        if change == "missing":
            del at[path[-1]]
        else:
            at["surprise"] = 1
        with pytest.raises(WireError):
            Manifest.from_json(json.dumps(raw).encode())


@pytest.mark.parametrize("lost", [[[9, 8]], [[1, 6]], [[7, 8], [8, 9]], [[98, 100]], [[5]], [5]])
def test_lost_spans_out_of_order_or_place_are_refused(lost: list[object]) -> None:
    raw = json.loads(example().to_json())
    raw["streams"][0]["lost"] = lost
    with pytest.raises(WireError):
        Manifest.from_json(json.dumps(raw).encode())


@pytest.mark.parametrize("at", ["2026-03-02T10:00:00", "soon", "10:00"])
def test_a_time_needs_a_zone(at: str) -> None:
    raw = json.loads(example().to_json())
    raw["opened_at"] = at
    with pytest.raises(WireError):
        Manifest.from_json(json.dumps(raw).encode())


@given(st.lists(st.text(max_size=60)), st.lists(st.tuples(st.text(max_size=60), st.text(max_size=100))))
def test_an_ack_comes_back(committed: list[str], refused: list[tuple[str, str]]) -> None:
    ack = Ack(tuple(committed), tuple(refused))
    assert Ack.from_json(ack.to_json()) == ack


def test_a_command_comes_back() -> None:
    command = Command("start", {"exercise": "squat"})
    assert Command.from_json(command.to_json()) == command


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"do":"reboot"}', b'{"do":1}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    for read in (Command.from_json, Ack.from_json, Manifest.from_json):
        with pytest.raises(WireError):
            read(data)


def test_topics_name_their_gateway() -> None:
    topics = [topic(GATEWAY) for topic in (up_topic, ack_topic, cmd_topic, live_topic, status_topic)]
    assert topics == [f"rtm/v1/{GATEWAY}/{what}" for what in ("up", "ack", "cmd", "live", "status")]
    assert {gateway_of(topic) for topic in topics} == {GATEWAY}


@pytest.mark.parametrize("topic", ["", "rtm/v1/x/up", f"rtm/v2/{GATEWAY}/up", f"rtm/v1/{GATEWAY}/up/more"])
def test_a_foreign_topic_is_refused(topic: str) -> None:
    with pytest.raises(WireError):
        gateway_of(topic)
