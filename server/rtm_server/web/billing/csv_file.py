"""The month as CSV. Text never becomes a formula in a spreadsheet; numbers stay numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from unicodedata import normalize

from rtm_server.web.billing.views import Line

COLUMNS = (
    "state", "name", "account", "code", "modifiers", "units", "service_date", "period_from",
    "period_to", "decision", "reasons", "released_by", "released_at_utc", "release_reason", "rules_version",
    "stands",
)  # fmt: skip

# What spreadsheets take for a formula; leading blanks do not disarm it (OWASP, CSV injection).
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def safe_text(text: str) -> str:
    """Text with a leading `'` where a spreadsheet would see a formula; NUL and line breaks become blanks."""
    flat = " ".join(text.replace("\0", " ").splitlines())
    # NFKC turns a full-width = into the plain one, as some spreadsheets do; strip() takes no-break spaces too
    seen = normalize("NFKC", text).strip(" \u00a0\u200b\ufeff")
    return f"'{flat}" if seen.startswith(FORMULA_STARTS) or text[:1] in FORMULA_STARTS else flat


def write(lines: Sequence[Line], rules_version: str) -> str:
    """CSV with a header line, every cell quoted, CRLF as RFC 4180 has it."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for line in lines:
        writer.writerow(
            (
                line.state.value,
                safe_text(line.name),
                safe_text(line.account),
                line.code,
                " ".join(line.modifiers),
                line.units,
                line.service_date.isoformat(),
                line.period[0].isoformat(),
                line.period[1].isoformat(),
                line.decision,
                safe_text("; ".join(line.reasons)),
                safe_text(line.released_by or ""),
                "" if line.released_at is None else line.released_at.isoformat(timespec="seconds"),
                safe_text(line.release_reason or ""),
                rules_version,
                line.standing,
            )
        )
    return out.getvalue()
