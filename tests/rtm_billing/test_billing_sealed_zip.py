"""A sealed zip: the same files give the same bytes, and not one byte of them can change unseen."""

import hashlib
import io
import json
import zipfile

import pytest

from rtm_billing import CaseError
from rtm_billing.sealed_zip import MANIFEST, SEAL, pack, unpack

FILES = {"line.json": b'{"code": "98977"}', "chunks/1.bin": bytes(range(7))}
PACKED = pack(FILES, {"made": "2026-05-01"})


def _zip(files: list[tuple[str, bytes]]) -> bytes:
    """A zip such as anybody might make."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name, content in files:
            made.writestr(name, content)
    return out.getvalue()


def _said(packed: bytes) -> str:
    with pytest.raises(CaseError) as caught:
        unpack(packed)
    return str(caught.value)


def test_what_went_in_comes_out_with_its_manifest() -> None:
    found = unpack(PACKED)
    assert {name: found[name] for name in FILES} == FILES
    manifest = json.loads(found[MANIFEST])
    assert manifest == {
        "made": "2026-05-01",
        "files": [
            {"file": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in sorted(FILES.items())
        ],
    }
    assert found[SEAL] == (hashlib.sha256(found[MANIFEST]).hexdigest() + "\n").encode()


def test_the_same_files_give_the_same_bytes_in_any_order() -> None:
    assert pack(dict(reversed(FILES.items())), {"made": "2026-05-01"}) == PACKED
    with zipfile.ZipFile(io.BytesIO(PACKED)) as opened:
        entries = opened.infolist()
    assert [each.filename for each in entries] == sorted([*FILES, MANIFEST, SEAL])
    assert {(each.compress_type, each.date_time, each.create_system) for each in entries} == {
        (zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0), 3)
    }


def test_every_altered_byte_is_seen() -> None:
    for place in range(len(PACKED)):
        altered = bytearray(PACKED)
        altered[place] ^= 1
        assert _said(bytes(altered))


def test_what_was_done_to_a_zip_is_named() -> None:
    whole = unpack(PACKED)
    rest = [(name, content) for name, content in whole.items() if name != "line.json"]
    assert _said(b"no zip") == "the zip cannot be read: BadZipFile"
    assert _said(_zip([("line.json", b"{}")])) == "the zip has no manifest"
    assert _said(_zip(rest)) == "line.json is missing"
    assert _said(_zip([*rest, ("line.json", b"{}")])) == "line.json was altered"
    assert _said(_zip([*whole.items(), ("more.json", b"{}")])) == "more.json was added"
    assert _said(_zip(list(whole.items()))) == "the zip was altered between its files"
    other = [(name, content) for name, content in whole.items() if name != MANIFEST]
    assert _said(_zip([*other, (MANIFEST, b"{}")])) == "manifest.json was altered"
    sealed = [(MANIFEST, b"[]"), (SEAL, (hashlib.sha256(b"[]").hexdigest() + "\n").encode())]
    assert _said(_zip(sealed)) == "manifest.json cannot be read"
