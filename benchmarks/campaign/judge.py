"""The verdict: what the server holds and what the manifests declare, against what the sensors sampled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np
from benchmarks.campaign.truth import Mask, TapedFlash

from rtm_signal.chunk import Chunk, decode, stream_id
from rtm_signal.wire import Manifest

Span = tuple[int, int]


@dataclass(slots=True)
class Verdict:
    """Samples unless said otherwise.

    lost: not stored although the sensor's memory still had them, or had been told to forget them; gaps: spans
    that the memory had to overwrite. gaps_unknowable: ends of earlier boots of which the memory, overwritten as a
    whole, can tell nobody that they ever were; they are in no other count of gaps.
    """

    sampled: int = 0
    stored: int = 0
    lost: int = 0
    doubled: int = 0
    altered: int = 0
    foreign: int = 0
    outside: int = 0
    gaps_true: int = 0
    gaps_reported: int = 0
    gap_samples_true: int = 0
    gap_samples_reported: int = 0
    gaps_different: int = 0
    gaps_unknowable: int = 0
    boots: int = 0
    details: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Nothing lost, doubled, altered or astray, and every gap declared with its length."""
        return not (
            self.lost or self.doubled or self.altered or self.foreign or self.outside or self.gaps_different
        )


def latest(manifests: Iterable[Manifest]) -> list[Manifest]:
    """The highest revision of each recording."""
    found: dict[UUID, Manifest] = {}
    for manifest in manifests:
        known = found.get(manifest.recording)
        if known is None or known.revision < manifest.revision:
            found[manifest.recording] = manifest
    return list(found.values())


def judge(tapes: Mapping[UUID, TapedFlash], items: Mapping[str, bytes]) -> Verdict:
    """Every sample of every boot of every sensor (by its id), against the committed items."""
    chunks = [decode(data) for key, data in items.items() if key.startswith("c:")]
    manifests = latest(Manifest.from_json(data) for key, data in items.items() if key.startswith("m:"))
    verdict = Verdict()
    for sensor, tape in tapes.items():
        stream = stream_id(sensor, "imu")
        mine = [chunk for chunk in chunks if chunk.stream == stream]
        chunks = [chunk for chunk in chunks if chunk.stream != stream]
        for boot in tape.boots:
            own = [chunk for chunk in mine if chunk.boot == boot]
            mine = [chunk for chunk in mine if chunk.boot != boot]
            shares = [
                (each.first, each.last, each.lost)
                for manifest in manifests
                for each in manifest.streams
                if (each.stream, each.boot) == (stream, boot)
            ]
            name = f"sensor {str(sensor)[-2:]} boot {boot}"
            _judge_boot(verdict, name, tape, boot, own, shares, over=boot != tape.boots[-1])
        verdict.foreign += sum(chunk.n for chunk in mine)
    verdict.foreign += sum(chunk.n for chunk in chunks)
    return verdict


def _judge_boot(
    verdict: Verdict,
    name: str,
    tape: TapedFlash,
    boot: int,
    chunks: Sequence[Chunk],
    shares: Sequence[tuple[int, int, tuple[Span, ...]]],
    *,
    over: bool,
) -> None:
    truth, overwritten = tape.samples(boot), tape.unfreed_overwritten(boot)
    count = np.zeros(len(truth), dtype=np.int64)
    for chunk in chunks:
        inside = max(0, min(chunk.n, len(truth) - chunk.first))
        verdict.foreign += chunk.n - inside
        part = slice(chunk.first, chunk.first + inside)
        count[part] += 1
        verdict.altered += int(np.any(chunk.values[:inside] != truth[part], axis=1).sum())
    declared, covered = np.zeros(len(truth), np.bool_), np.zeros(len(truth), np.bool_)
    for first, last, lost in shares:
        covered[first : last + 1] = True
        for low, high in lost:
            declared[low : high + 1] = True
    absent = count == 0
    missing, gone = absent & ~overwritten, absent & overwritten
    if over and gone.any() and gone[-1] and not declared[-1]:
        begin = spans(gone)[-1][0]
        verdict.gaps_unknowable += 1
        verdict.details.append(f"{name}: its end, from {begin} on, was overwritten before anybody saw it")
        gone[begin:] = False
    verdict.boots += 1
    verdict.sampled += len(truth)
    verdict.stored += int((~absent).sum())
    verdict.lost += int(missing.sum())
    verdict.doubled += int(np.maximum(count - 1, 0).sum())
    verdict.outside += int((~absent & ~covered).sum())
    truly, told = spans(gone), spans(declared)
    verdict.gaps_true += len(truly)
    verdict.gaps_reported += len(told)
    verdict.gap_samples_true += int(gone.sum())
    verdict.gap_samples_reported += int(declared.sum())
    verdict.gaps_different += len(set(truly) ^ set(told))
    told_of = {
        "lost": spans(missing),
        "doubled": spans(count > 1),
        "in no recording": spans(~absent & ~covered),
        "gap not declared": sorted(set(truly) - set(told)),
        "declared, but no such gap": sorted(set(told) - set(truly)),
    }
    where = f"{name} ({len(truth)} samples)"
    verdict.details += [f"{where}: {what} {found}" for what, found in told_of.items() if found]


def spans(mask: Mask) -> list[Span]:
    """(first, last) of each stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(first), int(end) - 1) for first, end in edges.reshape(-1, 2)]
