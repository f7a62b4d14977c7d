"""mTLS over a real Mosquitto: our certificate lets us in, none or a stranger's does not."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rtm_gateway.outbox import Outbox
from rtm_gateway.uplink import Broker, Uplink, UplinkError

GATEWAY = UUID(int=41)


def certificate(
    folder: Path, name: str, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A certificate and its key, in files; self-signed where there is no issuer."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    )
    made = builder.sign(key if issuer is None else issuer[1], hashes.SHA256())
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return made, key


@pytest.fixture
def tls_broker(tmp_path: Path, kit: SimpleNamespace) -> Iterator[str]:
    """Mosquitto that asks every client for a certificate of our authority."""
    if kit.mosquitto is None:
        pytest.skip("Mosquitto is not installed")
    authority = certificate(tmp_path, "authority", None)
    certificate(tmp_path, "server", authority)
    certificate(tmp_path, "gateway", authority)
    certificate(tmp_path, "stranger", certificate(tmp_path, "elsewhere", None))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "mosquitto.conf").write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\nrequire_certificate true\n"
        f"cafile {tmp_path}/authority.pem\ncertfile {tmp_path}/server.pem\nkeyfile {tmp_path}/server.key\n"
    )
    process = subprocess.Popen(
        [kit.mosquitto, "-c", str(tmp_path / "mosquitto.conf")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def listens() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return True
        return False

    kit.wait_until(listens)
    yield f"mqtts://localhost:{port}"
    process.kill()
    process.wait()


@pytest.mark.parametrize(("who", "allowed"), [("gateway", True), ("stranger", False), (None, False)])
def test_only_our_certificate_is_let_in(
    tls_broker: str, tmp_path: Path, who: str | None, allowed: bool
) -> None:
    outbox = Outbox(tmp_path / "outbox.db", bytes(32), limit_bytes=1 << 20)
    broker = Broker.from_url(
        tls_broker,
        ca=tmp_path / "authority.pem",
        certificate=None if who is None else tmp_path / f"{who}.pem",
        key=None if who is None else tmp_path / f"{who}.key",
    )

    async def scenario() -> bool:
        uplink = Uplink(broker, GATEWAY, outbox)
        task = asyncio.create_task(uplink.run())
        deadline = time.monotonic() + (10.0 if allowed else 1.5)
        while not uplink.connected and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        connected = uplink.connected
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return connected

    assert asyncio.run(scenario()) is allowed
    outbox.close()


# paho 2.2 leaves the socket of a failed handshake to the garbage collector, which says so.
@pytest.mark.filterwarnings("ignore:.*ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_broker_with_a_foreign_certificate_is_not_trusted(tls_broker: str, tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", bytes(32), limit_bytes=1 << 20)
    broker = Broker.from_url(
        tls_broker,
        ca=tmp_path / "elsewhere.pem",
        certificate=tmp_path / "gateway.pem",
        key=tmp_path / "gateway.key",
    )

    async def scenario() -> bool:
        uplink = Uplink(broker, GATEWAY, outbox)
        task = asyncio.create_task(uplink.run())
        await asyncio.sleep(1.0)
        connected = uplink.connected
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return connected

    assert not asyncio.run(scenario())
    outbox.close()


def test_a_certificate_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", bytes(32), limit_bytes=1 << 20)
    with pytest.raises(UplinkError):
        Uplink(Broker.from_url("mqtts://localhost", ca=tmp_path / "none.pem"), GATEWAY, outbox)
    outbox.close()
