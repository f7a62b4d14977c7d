"""The audit file as one calm PDF: what was billed, why, and everything it rests on, in the order reviewers ask."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import reportlab
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import LETTER
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import inch
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from rtm_billing.audit_check import stands
from rtm_billing.rules import RULES
from rtm_server.claims import audit_plots
from rtm_server.claims.audit_facts import Facts

WIDTH = LETTER[0] - 1.5 * inch - 12  # a frame has 6 points of padding on either side
INK, GREY, RULE, BAND = HexColor("#1A1A1A"), HexColor("#555555"), HexColor("#CCCCCC"), HexColor("#F4F4F2")
# DejaVu knows most alphabets; Vera comes with reportlab and knows Western European letters.
_DEJAVU = Path("/usr/share/fonts/truetype/dejavu")
_VERA = Path(reportlab.__file__).parent / "fonts"
CHANNELS = {"phone": "by phone", "video": "by video", "in_person": "in person"}
Cells = Sequence[object]


def render(facts: Facts) -> bytes:
    """The PDF. Whatever stands in the record is text: nothing of it is markup."""
    out = io.BytesIO()
    line = facts.record["line"]
    document = SimpleDocTemplate(
        out, pagesize=LETTER, leftMargin=0.75 * inch, rightMargin=0.75 * inch, topMargin=0.8 * inch,
        bottomMargin=0.8 * inch, title=f"Audit file {line['code']} {line['service_date']}", author="Homestretch",
        invariant=1,
    )  # fmt: skip
    footer = f"{line['code']} of {line['service_date']}, line {line['control'] or line['line']}"

    def foot(canvas: Any, page: Any) -> None:
        canvas.setFont(_fonts()[0], 7.5)
        canvas.setFillColor(GREY)
        canvas.drawString(0.75 * inch, 0.5 * inch, footer)
        canvas.drawRightString(LETTER[0] - 0.75 * inch, 0.5 * inch, f"page {page.page}")

    document.build(list(_story(facts)), onFirstPage=foot, onLaterPages=foot)
    return out.getvalue()


def _story(facts: Facts) -> Iterable[Flowable]:
    record = facts.record
    line, patient, episode = record["line"], record["patient"], record["episode"]
    words = next((rule.words for rule in RULES if rule.code == line["code"]), "in-clinic service")
    code = " ".join([line["code"], *line["modifiers"]])
    yield _text(f"{code}: {words}", "title")
    yield _text(f"Audit file of one claim line. {record['practice']['name']}.", "quiet")
    yield _facts(
        ("Patient", f"{patient['name']}, born {patient['birth_date']}, record {patient['record_number']}"),
        ("Diagnoses", ", ".join(patient["diagnoses"] or ()) or "not on file"),
        ("Service date", line["service_date"]),
        ("Period", f"{line['period'][0]} to {line['period'][1]}"),
        ("Units", line["units"]),
        ("State", f"{line['state']}, claim {line['claim'] or 'not sent'}, line {line['control'] or '-'}"),
        ("Treating therapist", episode["therapist"]),
        ("Episode", f"{episode['discipline']}, {episode['organ_system']}, since {episode['started']}"),
    )
    yield from _why(record)
    yield _heading("History")
    yield _table(
        ("When", "State", "By", "Reason"),
        ([_when(each["at"]), each["state"], each["by"], each["reason"]] for each in record["history"]),
        (1.9, 0.9, 1.4, 2.8),
    )
    yield from _basis(record)
    yield from _days(facts)
    yield from _time(record)
    yield from _proof(record)


def _why(record: Mapping[str, Any]) -> Iterable[Flowable]:
    line = record["line"]
    evidence = line["evidence"]
    yield _heading("Why this line")
    for number, step in enumerate(_steps(record), start=1):
        yield _text(f"{number}. {step}")
    settings = evidence.get("settings") or {}
    yield _facts(
        ("Rules", f"version {line['rules_version']}; {evidence.get('rule_source', 'source with the rules')}"),
        (
            "Settings in force",
            "; ".join(f"{name} = {value}" for name, value in settings.items()) or "defaults",
        ),
    )


def _steps(record: Mapping[str, Any]) -> Iterable[str]:
    """The reasoning, one sentence a step."""
    line = record["line"]
    evidence = line["evidence"]
    if evidence.get("need"):
        low, high = evidence["need"]
        unit = "data days" if "days" in evidence else "minutes"
        yield f"{line['code']} needs {low}{' or more' if high is None else f' to {high}'} {unit} in the period."
    if "days" in evidence:
        yield f"{evidence['days']} data days count: {', '.join(evidence.get('data_days') or ())}."
    if "minutes" in evidence:
        yield (
            f"{evidence['minutes']} whole minutes of management count, from {evidence.get('seconds')} seconds summed"
            " unrounded, overlaps united."
        )
    for contact in evidence.get("contacts") or ():
        yield f"Live two-way contact on {contact['on']}, {CHANNELS.get(contact['channel'], contact['channel'])}."
    yield from (f"{reason[:1].upper()}{reason[1:]}." for reason in line["reasons"])
    if line["modifiers"]:
        yield f"Modifiers {', '.join(line['modifiers'])}."
    yield f"The rules decided: {line['decision']}."
    if stands(line, record["evaluation"]):
        yield "The rules, run again on the record as it stands today, give the same line."
    else:
        yield (
            "The rules, run again on the record as it stands today, no longer give this line: something was added,"
            " corrected or taken back since. The line is shown as it was released."
        )


def _basis(record: Mapping[str, Any]) -> Iterable[Flowable]:
    yield _heading("Consent, plan of care, set-up, device")
    spans = [(name, each) for name in ("consent", "plan_of_care") for each in record[name]]
    yield _table(
        ("What", "From", "To", "How", "Recorded by", "Recorded at"),
        (
            [name.replace("_", " "), each["from"], each["to"] or "open", each["how"] or "-", each["recorded_by"],
             _when(each["recorded_at"])]
            for name, each in spans
        ),
        (0.9, 0.9, 0.9, 0.7, 1.5, 2.1),
    )  # fmt: skip
    setup, device = record["setup"], record["device"]
    yield _facts(
        ("Set-up and education", setup["on"] or "not recorded"),
        ("Regulatory basis", device["regulatory_basis"] or "not recorded"),
    )
    yield _table(
        ("Sensor", "Serial", "Worn on", "From", "To", "Kind", "Radio link"),
        (
            [each["profile"], each["serial"] or "-", each["placement"], _when(each["from"]),
             _when(each["to"]) or "open", "simulated" if each["simulated"] else "real",
             each["radio_link"].removeprefix("radio link ")]
            for each in device["sensors"]
        ),
        (1.0, 0.9, 0.8, 1.45, 1.3, 0.7, 0.85),
    )  # fmt: skip


def _days(facts: Facts) -> Iterable[Flowable]:
    record = facts.record
    counted = [each for each in record["data_days"] if each["counted"]]
    if not record["data_days"]:
        return
    yield _heading("Data days")
    if counted:
        yield audit_plots.repetitions_by_day(counted, _fonts()[0], WIDTH)
        motion = audit_plots.motion_by_repetition(counted, facts.analyses, _fonts()[0], WIDTH)
        if motion is not None:
            yield motion
    yield _table(
        ("Day", "Exercise", "First reading", "Last reading", "Received", "Source", "Reps", "ROM"),
        (
            [each["day"], (each["exercise"] or "free").replace("_", " "), _when(each["first"]), _when(each["last"]),
             _when(each["received"]), "; ".join(each["source"]) or "-", each["repetitions"],
             "-" if each["rom_deg_median"] is None else f"{each['rom_deg_median']:g}°"]
            for each in counted
        ),
        (0.75, 0.9, 1.25, 1.25, 1.1, 0.95, 0.45, 0.4),
    )  # fmt: skip
    doubtful = [each for each in counted if each["doubts"]]
    if doubtful:
        yield _text("Counted on a person's decision, although in doubt", "small-heading")
        yield _table(
            ("Day", "First reading", "The doubt"),
            ([each["day"], _when(each["first"]), "; ".join(each["doubts"])] for each in doubtful),
            (0.9, 1.9, 4.2),
        )
    rest = [each for each in record["data_days"] if not each["counted"]]
    if rest:
        yield _text("Recordings of the period that do not count", "small-heading")
        yield _table(
            ("Day", "Exercise", "First reading", "Why not"),
            (
                [each["day"] or "-", (each["exercise"] or "free").replace("_", " "), _when(each["first"]) or "-",
                 "; ".join(each["doubts"])]
                for each in rest
            ),
            (0.9, 1.3, 1.9, 2.9),
        )  # fmt: skip


def _time(record: Mapping[str, Any]) -> Iterable[Flowable]:
    if not record["time_log"]:
        return
    yield _heading("Time log of the period")
    yield _table(
        ("Start", "End", "Min", "By", "Role", "Activity", "Contact", "Entered", ""),
        (
            [_when(each["start"]), each["end"][11:19], each["minutes"], each["by"], each["role"],
             each["activity"].replace("_", " "), each["contact"] or "-", _when(each["entered"]), _standing(each)]
            for each in record["time_log"]
        ),
        (1.2, 0.75, 0.45, 0.9, 0.7, 0.8, 0.6, 1.0, 0.6),
    )  # fmt: skip


def _standing(entry: Mapping[str, Any]) -> str:
    if not entry["stands"]:
        return "superseded"
    if entry["idle"]:
        return "idle"
    return "billed elsewhere" if entry["billed_elsewhere"] else ""


def _proof(record: Mapping[str, Any]) -> Iterable[Flowable]:
    head = record["audit_chain"]["head"]
    versions = sorted({each["pipeline_version"] for each in record["data_days"] if each["counted"]})
    yield _heading("How it can be checked")
    yield _facts(
        ("Signal pipeline", ", ".join(versions) or "no recording counted"),
        ("Raw data", f"{len(record['chunks'])} chunks, each with its SHA-256 in chunks.json"),
        ("Audit chain", f"entry {head['entry']}, hash {head['hash']}"),
        ("Entries about this line", len(record["audit_chain"]["entries"])),
        ("Whole file", "python -m rtm_billing.audit_check FILE.zip, without the server"),
    )
    yield _text(
        "This file shows what the record supports. To bill it is the practice's decision; not legal advice.",
        "quiet",
    )


@cache
def _fonts() -> tuple[str, str]:
    """(regular, bold), registered once."""
    for folder, plain, bold in ((_DEJAVU, "DejaVuSans", "DejaVuSans-Bold"), (_VERA, "Vera", "VeraBd")):
        try:
            for name in (plain, bold):
                pdfmetrics.registerFont(TTFont(name, str(folder / f"{name}.ttf")))
        except (TTFError, OSError):
            continue
        return plain, bold
    return "Helvetica", "Helvetica-Bold"


@cache
def _style(name: str) -> ParagraphStyle:
    plain, bold = _fonts()
    styles = {
        "title": (bold, 15, 20, INK, 0, 2),
        "heading": (bold, 10.5, 14, INK, 14, 4),
        "small-heading": (bold, 8.5, 12, INK, 6, 3),
        "body": (plain, 8.5, 12, INK, 0, 2),
        "quiet": (plain, 8, 11, GREY, 0, 6),
        "cell": (plain, 6.8, 8.6, INK, 0, 0),
        "head": (bold, 6.8, 8.6, GREY, 0, 0),
    }
    font, size, leading, colour, before, after = styles[name]
    return ParagraphStyle(
        name, keepWithNext=name.endswith("heading"), fontName=font,
        fontSize=size, leading=leading, textColor=colour, spaceBefore=before,
        spaceAfter=after, splitLongWords=1,
    )  # fmt: skip


def _text(words: object, style: str = "body") -> Paragraph:
    return Paragraph(escape(str(words)), _style(style))


def _when(iso: str | None) -> str:
    """`2026-03-02 11:00:02 -05:00`: to the second, with its zone's offset."""
    if iso is None:
        return ""
    at = datetime.fromisoformat(iso)
    return f"{at:%Y-%m-%d %H:%M:%S} {'UTC' if not at.utcoffset() else at.isoformat()[-6:]}"


def _heading(words: str) -> Paragraph:
    return _text(words, "heading")


def _facts(*pairs: tuple[str, object]) -> Table:
    rows = [[_text(name, "quiet"), _text(value)] for name, value in pairs]
    table = Table(rows, colWidths=[1.5 * inch, WIDTH - 1.5 * inch], spaceBefore=4, spaceAfter=4)
    table.setStyle(
        TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (0, -1), 0),
                    ("BOTTOMPADDING", (0, 0), (-1, -1), 1), ("TOPPADDING", (0, 0), (-1, -1), 1)])
    )  # fmt: skip
    return table


def _table(head: Cells, rows: Iterable[Cells], widths: Sequence[float]) -> Flowable:
    """A table whose head comes again on every page; widths in inches."""
    shown = [[_text("" if cell is None else cell, "cell") for cell in row] for row in rows]
    if not shown:
        return Spacer(0, 0)
    share = WIDTH / sum(widths)
    table = Table(
        [[_text(cell, "head") for cell in head], *shown],
        colWidths=[width * share for width in widths],
        repeatRows=1,
        spaceBefore=2,
        spaceAfter=6,
    )
    table.setStyle(
        TableStyle([
            ("VALIGN", (0, 0), (-1, -1), "TOP"), ("LINEBELOW", (0, 0), (-1, -1), 0.4, RULE),
            ("BACKGROUND", (0, 0), (-1, 0), BAND), ("LEFTPADDING", (0, 0), (-1, -1), 3),
            ("RIGHTPADDING", (0, 0), (-1, -1), 3), ("TOPPADDING", (0, 0), (-1, -1), 2.5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
        ])
    )  # fmt: skip
    return table
