"""A zip whose every byte is determined by what is in it, with a manifest of hashes: an altered byte shows.

Stored without compression, in order of names, with one fixed date: packed again, the same files give the same
bytes on any machine, so that what lies between the files cannot change unseen either.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping

from .errors import CaseError

MANIFEST, SEAL = "manifest.json", "manifest.sha256"
_DATE = (1980, 1, 1, 0, 0, 0)  # the oldest a zip can say
_LARGEST = 512 * 1024 * 1024


def pack(files: Mapping[str, bytes], about: Mapping[str, object]) -> bytes:
    """The zip: the files, `manifest.json` (`about`, and size and SHA-256 of each) and the SHA-256 of the manifest."""
    listed = [
        {"file": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in sorted(files.items())
    ]
    manifest = (json.dumps({**about, "files": listed}, indent=1, ensure_ascii=False) + "\n").encode()
    seal = (hashlib.sha256(manifest).hexdigest() + "\n").encode()
    return _zip({**files, MANIFEST: manifest, SEAL: seal})


def unpack(packed: bytes) -> dict[str, bytes]:
    """The files of a zip, when not one byte of it was altered; `CaseError` names the first thing that was."""
    files = _read(packed)
    _check_manifest(files)
    if _zip(files) != packed:
        raise CaseError("the zip was altered between its files")
    return files


def _read(packed: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as opened:
            names = opened.namelist()
            size = sum(each.file_size for each in opened.infolist())
            files = {name: opened.read(name) for name in names} if size <= _LARGEST else {}
    except (
        Exception
    ) as error:  # zipfile raises what it meets: BadZipFile, struct.error, NotImplementedError, ...
        raise CaseError(f"the zip cannot be read: {type(error).__name__}") from None
    if size > _LARGEST:
        raise CaseError("the zip is larger than an audit file can be")
    if len(names) != len(files):
        raise CaseError("the zip holds a name twice")
    return files


def _check_manifest(files: Mapping[str, bytes]) -> None:
    if MANIFEST not in files or SEAL not in files:
        raise CaseError("the zip has no manifest")
    if files[SEAL] != (hashlib.sha256(files[MANIFEST]).hexdigest() + "\n").encode():
        raise CaseError("manifest.json was altered")
    try:
        listed = {each["file"]: each["sha256"] for each in json.loads(files[MANIFEST])["files"]}
    except (ValueError, KeyError, TypeError):
        raise CaseError("manifest.json cannot be read") from None
    for name, digest in listed.items():
        if name not in files:
            raise CaseError(f"{name} is missing")
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise CaseError(f"{name} was altered")
    more = sorted(files.keys() - listed.keys() - {MANIFEST, SEAL})
    if more:
        raise CaseError(f"{more[0]} was added")


def _zip(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as made:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system, info.external_attr = 3, 0o600 << 16
            made.writestr(info, files[name])
    return out.getvalue()
