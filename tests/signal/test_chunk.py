"""The chunk's codec: every array comes back bit for bit, and nothing else is ever taken for a chunk."""

from __future__ import annotations

import struct
import zlib
from dataclasses import fields, replace
from pathlib import Path
from uuid import UUID, uuid5

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from rtm_signal.chunk import (
    CHANNELS,
    MAX_SAMPLES,
    UNITS,
    Anchors,
    Channel,
    Chunk,
    ChunkError,
    ChunkHeader,
    ChunkKey,
    decode,
    encode,
    peek,
    stream_id,
    to_si,
)
from rtm_signal.chunk_codec import Values

GOLDEN = Path(__file__).parent / "golden"
SENSOR = UUID("6b1f6d0a-6f0c-4c52-9d0b-2f7a3a1c0001")
IMU = tuple(Channel(name, "g", 1 / 4096) for name in ("ax", "ay", "az")) + tuple(
    Channel(name, "deg/s", 1 / 16.4) for name in ("gx", "gy", "gz")
)


def make_chunk(values: Values, anchors: Anchors | None = None) -> Chunk:
    return Chunk(
        tenant=UUID("6b1f6d0a-6f0c-4c52-9d0b-2f7a3a1c0002"),
        stream=stream_id(SENSOR, "imu"),
        boot=7,
        first=1500,
        n=values.shape[0],
        t_key=1_772_445_600_123_456,
        channels=tuple(Channel(name, "m/s2", 0.25) for name in CHANNELS[: values.shape[1]]),
        rate_hz=104.0,
        start_us=1_772_445_600_000_001,
        period_ns=9_615_001.25,
        fit_version=3,
        uncertainty_us=850,
        tick_hz=32768.0,
        gateway_boot=UUID("6b1f6d0a-6f0c-4c52-9d0b-2f7a3a1c0003"),
        mono_ns=88_123_456_789,
        wall_us=1_772_445_605_000_002,
        values=values,
        anchors=anchors or Anchors.none(),
    )


def golden_chunk(codec: int) -> Chunk:
    """The chunk of each golden file, from whole-number arithmetic alone, so that it never changes."""
    i = np.arange(40, dtype=np.int64)[:, None]
    if codec == 0:  # mixed bits that no compressor shortens: Knuth's linear congruential generator
        states = [1]
        for _ in range(239):
            states.append((states[-1] * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64)
        mixed = np.array([state >> 48 for state in states], np.uint16)
        values: Values = mixed.view(np.int16).reshape(40, 6)
    elif codec == 1:
        values = ((i * i * np.arange(1, 7)) % 501 - 250).astype(np.int16)
        values[3] = [-32768, 32767, -1, 0, 1, -32768]
    else:
        values = ((i - 20) / np.array([1, 2, 4, 8, 16, 32])).astype(np.float32)
        values[5] = np.array(
            [0x7FC00001, 0xFFC12345, 0x7F800000, 0xFF800000, 0x80000000, 0x00000001], np.uint32
        ).view(np.float32)
    k = np.arange(5, dtype=np.int64)
    anchors = Anchors(
        k * 9 - 4, (k * 2836 + 77_000_000_000).astype(np.uint64), (k * k * 1000 + 5).astype(np.uint64)
    )
    return replace(make_chunk(values, anchors), channels=IMU)


def assert_same(a: Chunk, b: Chunk) -> None:
    for each in fields(ChunkHeader):
        assert getattr(a, each.name) == getattr(b, each.name), each.name
    assert a.values.dtype == b.values.dtype
    assert a.values.shape == b.values.shape
    assert a.values.tobytes() == b.values.tobytes()
    for name in ("offset", "tick", "arrival_ns"):
        assert np.array_equal(getattr(a.anchors, name), getattr(b.anchors, name)), name


@pytest.mark.parametrize("codec", [0, 1, 2])
def test_golden_files_are_decoded_for_ever(codec: int) -> None:
    data = (GOLDEN / f"codec{codec}.chunk").read_bytes()
    assert data[6] == codec
    assert_same(decode(data), golden_chunk(codec))


@pytest.mark.parametrize("codec", [0, 1, 2])
def test_each_codec_is_still_written(codec: int) -> None:
    data = encode(golden_chunk(codec))
    assert data[6] == codec
    assert_same(decode(data), golden_chunk(codec))


shapes = st.tuples(st.integers(1, 300), st.integers(1, len(CHANNELS)))


@given(npst.arrays(np.int16, shapes))
@settings(max_examples=60)
def test_any_int16_array_comes_back_bit_for_bit(values: np.ndarray) -> None:
    chunk = make_chunk(values)
    assert_same(decode(encode(chunk)), chunk)


@given(npst.arrays(np.uint32, shapes, elements=st.integers(0, 2**32 - 1)))
@settings(max_examples=60)
def test_any_float32_array_comes_back_bit_for_bit(bits: np.ndarray) -> None:
    chunk = make_chunk(bits.view(np.float32))
    assert_same(decode(encode(chunk)), chunk)


def test_arrays_that_are_views_are_encoded_as_they_look() -> None:
    wide = np.arange(1200, dtype=np.int16).reshape(100, 12)
    chunk = make_chunk(wide[::2, 1::2])
    assert np.array_equal(decode(encode(chunk)).values, wide[::2, 1::2])


u64 = st.integers(0, 2**64 - 1)


@given(
    st.lists(st.tuples(st.integers(-(2**40), 39), u64, u64), max_size=60),
    st.sampled_from([1, 1000, 10_000, 2**31 + 11]),
)
@settings(max_examples=60)
def test_any_anchors_come_back(rows: list[tuple[int, int, int]], unit: int) -> None:
    offset, tick, arrival = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    anchors = Anchors(
        np.array(offset, np.int64),
        np.array(tick, np.uint64),
        np.array([a // unit * unit for a in arrival], np.uint64),
    )
    chunk = make_chunk(np.zeros((40, 3), np.int16), anchors)
    assert_same(decode(encode(chunk)), chunk)


@given(
    st.fixed_dictionaries(
        {
            "tenant": st.uuids(),
            "stream": st.uuids(),
            "gateway_boot": st.uuids(),
            "boot": st.integers(0, 2**32 - 1),
            "first": st.integers(0, 2**64 - 2),
            "t_key": st.integers(-(2**63), 2**63 - 1),
            "start_us": st.integers(-(2**63), 2**63 - 1),
            "period_ns": st.floats(1e-3, 1e12),
            "rate_hz": st.floats(1e-3, 1e6),
            "tick_hz": st.floats(0, 1e12),
            "fit_version": st.integers(0, 2**16 - 1),
            "uncertainty_us": st.integers(0, 2**32 - 1),
            "mono_ns": u64,
            "wall_us": st.integers(-(2**63), 2**63 - 1),
        }
    ),
    st.lists(
        st.tuples(st.sampled_from(CHANNELS), st.sampled_from(list(UNITS)), st.floats(1e-9, 1e9)),
        min_size=2,
        max_size=len(CHANNELS),
        unique_by=lambda channel: channel[0],
    ),
)
@settings(max_examples=60)
def test_any_header_comes_back(header: dict[str, object], channels: list[tuple[str, str, float]]) -> None:
    chunk = replace(
        make_chunk(np.zeros((1, len(channels)), np.int16)),
        channels=tuple(Channel(*channel) for channel in channels),
        **header,  # type: ignore[arg-type]  # hypothesis draws each field of its type
    )
    assert_same(decode(encode(chunk)), chunk)
    assert peek(encode(chunk)).key == chunk.key


def test_the_key_is_text_that_names_stream_boot_first_n_and_t_key() -> None:
    key = make_chunk(np.zeros((10, 6), np.int16)).key
    assert str(key) == f"c:{uuid5(SENSOR, 'imu')}:7:1500:10:1772445600123456"
    assert ChunkKey.parse(str(key)) == key


@pytest.mark.parametrize("text", ["", "c:1:2", "m:x:1", "c:" + "a:" * 5, f"c:{SENSOR}:-1:0:1:0", "c" * 900])
def test_text_that_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ChunkError):
        ChunkKey.parse(text)


def test_si_values() -> None:
    values = np.full((4, 6), 4096, np.int16)
    si = to_si(replace(make_chunk(values), channels=IMU))
    assert list(si) == ["ax", "ay", "az", "gx", "gy", "gz"]
    np.testing.assert_allclose(si["ax"], 9.80665)
    np.testing.assert_allclose(si["gz"], 4096 / 16.4 * np.pi / 180)
    assert si["gz"].dtype == np.float64


# --- bad input ---------------------------------------------------------------------------------------------


@given(st.sampled_from([0, 1, 2]), st.data())
@settings(max_examples=150)
def test_a_truncated_chunk_is_refused(codec: int, data: st.DataObject) -> None:
    whole = encode(golden_chunk(codec))
    with pytest.raises(ChunkError):
        decode(whole[: data.draw(st.integers(0, len(whole) - 1))])


@pytest.mark.parametrize("codec", [0, 1, 2])
def test_every_single_flipped_bit_is_refused(codec: int) -> None:
    whole = encode(golden_chunk(codec))
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1 << (at % 8)
        with pytest.raises(ChunkError):
            decode(bytes(changed))


@given(st.binary(max_size=400), st.sampled_from([b"", b"HSC\x01", b"HSC\x02", b"HSB1"]))
@settings(max_examples=150)
def test_foreign_bytes_are_refused(data: bytes, start: bytes) -> None:
    for read in (decode, peek):
        with pytest.raises(ChunkError):
            read(start + data)


def resign(data: bytes | bytearray) -> bytes:
    """A forged chunk: whatever was changed, with a checksum that matches."""
    return bytes(data[:-4]) + struct.pack("<I", zlib.crc32(data[:-4]))


@given(st.sampled_from([0, 1, 2]), st.data())
@settings(max_examples=300)
def test_a_forged_chunk_gives_a_typed_error_or_a_chunk_of_the_declared_shape(
    codec: int, data: st.DataObject
) -> None:
    forged = bytearray(encode(golden_chunk(codec)))
    for _ in range(data.draw(st.integers(1, 4))):
        forged[data.draw(st.integers(0, len(forged) - 5))] = data.draw(st.integers(0, 255))
    try:
        chunk = decode(resign(forged))
    except ChunkError:
        return
    assert chunk.values.shape == (chunk.n, len(chunk.channels))


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    """A zstd frame of a gigabyte of zeros is 32 kB: what it declares is compared with the header first."""
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 26))
    whole = encode(golden_chunk(1))
    header_and_anchors = whole[
        : struct.unpack_from("<H", whole, 4)[0] + struct.unpack_from("<I", whole, 144)[0]
    ]
    with pytest.raises(ChunkError, match="size its header declares"):
        decode(resign(header_and_anchors + bomb + bytes(4)))


def test_a_frame_without_a_declared_size_is_refused() -> None:
    hidden = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(480))
    whole = encode(golden_chunk(1))
    header_and_anchors = whole[
        : struct.unpack_from("<H", whole, 4)[0] + struct.unpack_from("<I", whole, 144)[0]
    ]
    with pytest.raises(ChunkError):
        decode(resign(header_and_anchors + hidden + bytes(4)))


@pytest.mark.parametrize(
    "change",
    [
        {"n": 11},
        {"n": 0, "values": np.zeros((0, 6), np.int16)},
        {"n": MAX_SAMPLES + 1, "values": np.zeros((MAX_SAMPLES + 1, 6), np.int16)},
        {"values": np.zeros((10, 6), np.int32)},
        {"values": np.zeros((10, 6))},
        {"boot": -1},
        {"boot": 1 << 32},
        {"first": (1 << 64) - 5},
        {"rate_hz": float("nan")},
        {"period_ns": 0.0},
        {"tick_hz": -1.0},
        {"channels": (*IMU[:5], Channel("gz", "parsec", 1.0))},
        {"channels": (*IMU[:5], Channel("elbow", "g", 1.0))},
        {"channels": (*IMU[:5], Channel("gz", "deg/s", float("inf")))},
        {"channels": (*IMU[:5], IMU[0])},
        {"anchors": Anchors(np.array([10]), np.zeros(1, np.uint64), np.zeros(1, np.uint64))},
        {"anchors": Anchors(np.array([1]), np.zeros(2, np.uint64), np.zeros(1, np.uint64))},
        {"anchors": Anchors(np.array([1]), np.zeros(1, np.uint64), np.zeros(1, np.float64))},
    ],
)
def test_values_that_do_not_fit_are_refused_when_written(change: dict[str, object]) -> None:
    chunk = replace(make_chunk(np.zeros((10, 6), np.int16)), channels=IMU)
    with pytest.raises(ChunkError):
        encode(replace(chunk, **change))  # type: ignore[arg-type]  # wrong on purpose


def test_stream_ids_differ_by_sensor_and_name() -> None:
    assert stream_id(SENSOR, "imu") == uuid5(SENSOR, "imu")
    assert stream_id(SENSOR, "acc") != stream_id(SENSOR, "gyr")
