"""All five drivers against the kit. The encoders here are written from the published layouts."""

from __future__ import annotations

import binascii
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from rtm_gateway.drivers import DRIVERS, create, testkit
from rtm_gateway.drivers.capture2go import TX, Capture2GoDecoder
from rtm_gateway.drivers.driver import Decoder
from rtm_gateway.drivers.homestretch import DATA, HomestretchDecoder
from rtm_gateway.drivers.movesense import NOTIFY as GSP_NOTIFY
from rtm_gateway.drivers.polar_pmd import DATA as PMD_DATA
from rtm_gateway.drivers.polar_pmd import PolarDecoder
from rtm_gateway.drivers.testkit import Capture, KitError, Notification
from rtm_gateway.drivers.witmotion import NOTIFY as WIT_NOTIFY

MS = 1_000_000


def walk(n: int, channels: int, seed: int = 1) -> NDArray[np.int16]:
    """Distinct rows that move like a sensor's."""
    rng = np.random.default_rng(seed)
    steps = np.cumsum(rng.integers(-60, 61, (n, channels)), axis=0)
    steps[:, 0] = np.arange(n) * 3 - 2000
    return steps.astype(np.int16)


def homestretch() -> Capture:
    samples = walk(300, 6)
    notifications: list[Notification] = []
    for first in range(0, 300, 5):
        index = 65500 + first
        body = struct.pack("<HI", index & 0xFFFF, (2**32 - 20000 + first * 328) & 0xFFFFFFFF)
        body += samples[first : first + 5].tobytes()
        crc = binascii.crc_hqx(body, binascii.crc_hqx(struct.pack("<I", 9), 0xFFFF))
        notifications.append((DATA, body + struct.pack("<H", crc), first * 10 * MS))

    def prepare(decoder: Decoder) -> None:
        assert isinstance(decoder, HomestretchDecoder)
        decoder.begin(9, 65500, 2**32 - 20000, 0)

    return Capture("homestretch", tuple(notifications), {"imu": samples}, prepare, checked=True)


def pack_deltas(values: NDArray[np.int16], block: int) -> bytes:
    """A reference sample, then blocks of deltas, lowest bit first."""
    out: bytes = values[0].astype("<i2").tobytes()
    deltas = np.diff(values.astype(int), axis=0)
    for at in range(0, len(deltas), block):
        part = deltas[at : at + block]
        bits = max(int(np.abs(part).max()).bit_length() + 1, 1)
        number = 0
        for place, delta in enumerate(part.ravel().tolist()):
            number |= (delta & ((1 << bits) - 1)) << (place * bits)
        size = (bits * part.size + 7) // 8
        out += bytes((bits, len(part))) + number.to_bytes(size, "little")
    return out


def polar(compressed: bool) -> Capture:
    acc, gyr = walk(360, 3, 2), walk(360, 3, 3)
    notifications: list[Notification] = []
    for first in range(0, 360, 36):
        last_ns = 599616000 * 10**9 + (first + 35) * 19230769
        for kind, values in ((2, acc), (5, gyr)):
            part = values[first : first + 36]
            if kind == 5 or compressed:
                frame_type, body = (0x80 if kind == 5 else 0x81), pack_deltas(part, 10)
            else:
                frame_type, body = 1, part.tobytes()
            data = struct.pack("<BQB", kind, last_ns, frame_type) + body
            notifications.append((PMD_DATA, data, last_ns % 10**15))

    def prepare(decoder: Decoder) -> None:
        assert isinstance(decoder, PolarDecoder)
        decoder.expect(2, 52.0)
        decoder.expect(5, 52.0)

    name = "polar-pmd compressed" if compressed else "polar-pmd"
    return Capture(name, tuple(notifications), {"acc": acc, "gyr": gyr}, prepare)


def witmotion() -> Capture:
    samples = walk(200, 6, 4)
    notifications: list[Notification] = []
    for i, row in enumerate(samples):
        frame = b"\x55\x61" + row.tobytes() + struct.pack("<3h", i, -i, 7)
        notifications.append((WIT_NOTIFY, frame, i * 10 * MS))
    return Capture("witmotion", tuple(notifications), {"imu": samples}, byte_stream=True)


def c2g_frame(header: int, payload: bytes) -> bytes:
    body = struct.pack("<H", header) + payload
    return b"\x02" + struct.pack("<IB", zlib.crc32(body), len(payload)) + body


def capture2go(chunk: int, magnetometer: bool = True) -> Capture:
    channels = 9 if magnetometer else 6
    samples = walk(160, channels, 5)
    stream = b""
    for first in range(0, 160, 8):
        part = samples[first : first + 8]
        order = [slice(3, 6), slice(0, 3), slice(6, 9)][: channels // 3]
        payload = struct.pack("<q", 10**9 + first * 10 * MS)
        payload += b"".join(part[:, columns].tobytes() for columns in order)
        payload += struct.pack("<QhB", 1 << 61, 12, 0)
        stream += c2g_frame(0x0222 if magnetometer else 0x0232, payload)
        if first % 40 == 0:
            stream += c2g_frame(0x0201, bytes(19))
    notifications = tuple(
        (TX, b"\xff" + stream[at : at + chunk], at * MS) for at in range(0, len(stream), chunk)
    )
    name = "imu9" if magnetometer else "imu"
    return Capture(f"capture2go cut at {chunk}", notifications, {name: samples}, checked=True)


def movesense(nine: bool = False, split: bool = False) -> Capture:
    sensors = 3 if nine else 2
    samples = (walk(208, 3 * sensors, 6) / 7).astype(np.float32)
    samples[:, :3] /= 30
    notifications: list[Notification] = []
    for packet, first in enumerate(range(0, 208, 8)):
        part = samples[first : first + 8]
        body = struct.pack("<BBI", 2, 0x63, 2**32 - 500 + round(first * 1000 / 104) & 0xFFFFFFFF)
        body += b"".join(part[:, 3 * s : 3 * s + 3].tobytes() for s in range(sensors))
        arrival = packet * 77 * MS
        if split:
            notifications.append((GSP_NOTIFY, body[:182], arrival))
            notifications.append((GSP_NOTIFY, b"\x03\x63" + body[182:], arrival + MS))
        else:
            notifications.append((GSP_NOTIFY, body, arrival))
    name = f"movesense{' split' if split else ''}{' nine' if nine else ''}"

    def prepare(decoder: Decoder) -> None:
        decoder.expect(104.0, sensors)  # type: ignore[attr-defined]  # the Movesense decoder's own

    return Capture(name, tuple(notifications), {"imu9" if nine else "imu": samples}, prepare, split=split)


CAPTURES: dict[str, Callable[[], list[Capture]]] = {
    "homestretch": lambda: [homestretch()],
    "polar-pmd": lambda: [polar(False), polar(True)],
    "witmotion": lambda: [witmotion()],
    "capture2go": lambda: [capture2go(243), capture2go(19), capture2go(100, magnetometer=False)],
    "movesense-gsp": lambda: [movesense(), movesense(nine=True), movesense(split=True)],
}


@pytest.mark.parametrize("profile", sorted(DRIVERS))
def test_every_driver_passes_the_kit(profile: str) -> None:
    testkit.check(create(profile), CAPTURES[profile](), trials=60)


def test_the_kit_fails_a_driver_that_lies() -> None:
    """Negative controls: an index off by one, a wrong sample, a sample twice, an exception."""
    capture = capture2go(243)

    class Liar(Capture2GoDecoder):
        trick = ""

        def feed(self, characteristic: str, data: bytes, arrival_ns: int):  # type: ignore[no-untyped-def]  # noqa: ANN202 - a wrapper
            blocks = super().feed(characteristic, data, arrival_ns)
            if self.trick == "raise":
                raise ValueError("no")
            if self.trick == "twice":
                return blocks + blocks
            if self.trick == "late":
                return blocks[1:]
            return blocks

    for trick, said in (("raise", "raised"), ("twice", "twice"), ("late", "not those")):
        driver = create("capture2go")
        Liar.trick = trick
        original = driver.decoder

        def decoder(next_boot: Callable[[], int] | None = None, original=original) -> Decoder:  # type: ignore[no-untyped-def]  # noqa: ANN001 - bound above
            made = original(next_boot)
            made.__class__ = Liar
            return made  # type: ignore[no-any-return]  # as above

        driver.decoder = decoder  # type: ignore[method-assign]  # the point of the test
        with pytest.raises(KitError, match=said):
            testkit.check(driver, [capture], trials=0)
