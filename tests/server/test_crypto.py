"""Boxes open where they were sealed, and nowhere else."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtm_server.crypto import DataKey, MasterKey
from rtm_server.errors import CryptoError

KEY = DataKey(b"k" * 32)


@given(plain=st.binary(max_size=4096), place=st.binary(max_size=64))
def test_what_is_sealed_opens(plain: bytes, place: bytes) -> None:
    box = KEY.seal(plain, place)
    assert KEY.open(box, place) == plain
    assert KEY.seal(plain, place) != box


@given(plain=st.binary(max_size=256), place=st.binary(max_size=16), data=st.data())
def test_a_changed_truncated_or_moved_box_does_not_open(
    plain: bytes, place: bytes, data: st.DataObject
) -> None:
    box = KEY.seal(plain, place)
    at = data.draw(st.integers(0, len(box) - 1))
    flip = data.draw(st.integers(1, 255))
    for wrong in (box[:at] + bytes([box[at] ^ flip]) + box[at + 1 :], box[:at]):
        with pytest.raises(CryptoError):
            KEY.open(wrong, place)
    with pytest.raises(CryptoError):
        KEY.open(box, place + b"x")
    with pytest.raises(CryptoError):
        DataKey(b"x" * 32).open(box, place)


def test_a_wrapped_key_is_the_same_key() -> None:
    inner = DataKey.new()
    again = KEY.unwrap(KEY.wrap(inner, b"here"), b"here")
    assert again.open(inner.seal(b"plain", b""), b"") == b"plain"
    with pytest.raises(CryptoError):
        KEY.open(KEY.wrap(inner, b"here"), b"here")  # a key is not read as a text


def test_the_master_key_file_is_private_and_made_once(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "master.key"
    first = MasterKey.from_file(path, create=True)
    again = MasterKey.from_file(path, create=True)
    assert first.index("login", "a") == again.index("login", "a")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_text().strip()) == 64


@pytest.mark.parametrize("content", ["", "zz" * 32, "ab" * 31, "ab" * 33])
def test_a_bad_master_key_is_said_so(tmp_path: Path, content: str) -> None:
    path = tmp_path / "master.key"
    path.write_text(content)
    with pytest.raises(CryptoError):
        MasterKey.from_file(path)


def test_a_missing_master_key_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(CryptoError, match="does not exist"):
        MasterKey.from_file(tmp_path / "none")


@given(st.text(max_size=40))
def test_an_index_is_of_its_kind_and_key(value: str) -> None:
    one, other = MasterKey(b"1" * 32), MasterKey(b"2" * 32)
    assert one.index("login", value) == one.index("login", f" {value} ")
    assert one.index("login", value) != one.index("gateway", value)
    assert one.index("login", value) != other.index("login", value)


def test_processes_that_start_at_once_make_one_master_key(tmp_path: Path) -> None:
    path = tmp_path / "new" / "master.key"
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: MasterKey.from_file(path, create=True), range(32)))
    assert len({key.index("login", "somebody") for key in keys}) == 1
    assert list(path.parent.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
