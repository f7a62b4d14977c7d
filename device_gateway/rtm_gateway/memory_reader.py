"""What a link asks of a sensor's memory: samples that are missing here, and recordings it made by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final

from rtm_gateway.drivers.driver import Decoder, Driver, SampleBlock, StoredRun
from rtm_gateway.drivers.port import NoAnswerError, Port
from rtm_gateway.link_event import Span
from rtm_gateway.overwritten import overwritten
from rtm_gateway.unwrap import Coverage

_log = logging.getLogger(__name__)

_PASSES: Final = 5
"""How often a memory is listed again while it goes on giving what it had not given."""


class MemoryReader:
    """One sensor's memory, over as many links as there are.

    have: the samples that are stored already, by (stream, boot); fetched: the files, with their bytes. drain
    decodes the notifications that have come, whose blocks are given to `came`.
    """

    def __init__(
        self,
        driver: Driver,
        decoder: Decoder,
        *,
        drain: Callable[[], None],
        settle_s: float,
        have: Mapping[tuple[str, int], Sequence[tuple[int, int]]] | None = None,
        fetched: Mapping[str, int] | None = None,
    ) -> None:
        self._driver = driver
        self._decoder = decoder
        self._drain = drain
        self._settle_s = settle_s
        self._have = {key: Coverage(list(spans)) for key, spans in (have or {}).items()}
        self._fetched = dict(fetched or {})
        self._files_wanted = False
        self._gaps_seen = -1

    def connected(self) -> None:
        """A new link: whatever was missed meanwhile is to be fetched."""
        self._gaps_seen = -1
        self._files_wanted = self._driver.has_files

    def came(self, block: SampleBlock) -> None:
        """Samples are here, live or from the memory."""
        key = (block.stream, block.boot)
        have = self._have.get(key)
        if have is None:
            have = self._have[key] = Coverage()
        have.add(block.first, block.first + len(block.values))

    async def files(self, port: Port) -> AsyncIterator[tuple[str, int]]:
        """Fetch, once a link, what the sensor recorded by itself: (name, bytes) of each file that is here now.

        What cannot be read is asked for at the next link.
        """
        if not self._files_wanted:
            return
        self._files_wanted = False
        try:
            for run in await self._driver.stored(port):
                if self._fetched.get(run.key) == run.next:
                    continue
                await self._driver.download(port, run, 0, run.next - 1)
                await asyncio.sleep(0)
                self._drain()
                self._fetched[run.key] = run.next
                yield run.key, run.next
        except NoAnswerError as error:
            _log.info("%s: its memory cannot be read now: %s", self._driver.profile, error)

    async def resync(self, port: Port) -> tuple[int, list[Span]] | None:
        """Fetch what is missing, when the link is new and after a gap: (samples that came, spans that are lost).

        None when nothing was to be done.
        """
        if not self._driver.has_flash or self._gaps_seen == self._decoder.counters.gap:
            return None
        gaps = self._decoder.counters.gap
        ends = {key: have.end for key, have in self._have.items()}
        runs = await self._driver.stored(port)
        await asyncio.sleep(self._settle_s)  # live frames on their way are not missing
        fetched, lost = await self._fetch_all(port, runs)
        for _ in range(_PASSES):
            if not lost:
                break
            # A full memory overwrites while it is read: only what it still lists and does not give is lost.
            runs = await self._driver.stored(port)
            more, lost = await self._fetch_all(port, runs)
            fetched += more
            if not more:
                break
        else:
            lost = []  # it is still coming: asked again at the next resync
            gaps = -1
        for span in overwritten(self._have, ends, runs):
            self._have[span.stream, span.boot].add(span.first, span.last + 1)
            lost.append(span)
        self._gaps_seen = gaps
        return fetched, lost

    async def _fetch_all(self, port: Port, runs: Sequence[StoredRun]) -> tuple[int, list[Span]]:
        """Fetch what of these runs is missing: (samples that came, spans that did not)."""
        fetched, stuck = 0, []
        for run in runs:
            before = sum(end - first for first, end in self._holes(run))
            stuck += await self._fetch(port, run)
            fetched += before - sum(end - first for first, end in self._holes(run))
        return fetched, stuck

    def _holes(self, run: StoredRun) -> list[tuple[int, int]]:
        """What of a run is missing here."""
        have = self._have.setdefault((run.stream, run.boot), Coverage())
        return have.missing(run.first, run.next)

    async def _fetch(self, port: Port, run: StoredRun) -> list[Span]:
        """Ask until nothing is missing or two reads in a row brought nothing. Returns what is left."""
        idle = 0
        while holes := self._holes(run):
            first, end = holes[min(idle, len(holes) - 1)]
            await self._driver.download(port, run, first, end - 1)
            await asyncio.sleep(0)
            self._drain()
            idle = idle + 1 if self._holes(run) == holes else 0
            if idle > min(2, len(holes)):
                break
        return [Span(run.stream, run.boot, first, end - 1) for first, end in self._holes(run)]
