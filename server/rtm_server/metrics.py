"""Counters of the server's processes. No label ever names a tenant, a person or a device."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

INGEST_ITEMS = Counter(
    "rtm_ingest_items_total",
    "Items from gateways by what became of them",
    ["result"],  # stored, duplicate, or the reason of a refusal
)
INGEST_RETRIES = Counter("rtm_ingest_retries_total", "Groups tried again because the database did not answer")
BROKER_AWAY = Counter("rtm_broker_away_total", "Connections to the broker that failed or were lost")
INGEST_COMMIT_S = Histogram("rtm_ingest_commit_seconds", "Time to commit one group of items")
ANALYSES = Counter("rtm_analyses_total", "Analyses by result", ["result"])  # done, unchanged, failed
ANALYSIS_S = Histogram("rtm_analysis_seconds", "Time to analyse one recording")
