"""A campaign's report as a table for people."""

from __future__ import annotations

from benchmarks.campaign.campaign import Report


def table(report: Report) -> str:
    """Faults by kind, then what came of them."""
    v, plan = report.verdict, report.plan
    recorded_s = plan.seconds * plan.speed
    rows: list[tuple[str, object]] = [(kind, count) for kind, count in sorted(report.done.items())]
    rows += [
        ("faults", sum(report.done.values())),
        ("", ""),
        ("recording's time, s", f"{recorded_s:.0f} (x {plan.speed:g})"),
        ("sensors, boots", f"{plan.sensors}, {v.boots}"),
        ("samples taken", v.sampled),
        ("samples stored", v.stored),
        ("lost though the memory had them", v.lost),
        ("doubled", v.doubled),
        ("altered", v.altered),
        ("of no sensor", v.foreign),
        ("stored, but in no recording", v.outside),
        ("real gaps (samples)", f"{v.gaps_true} ({v.gap_samples_true})"),
        ("gaps reported (samples)", f"{v.gaps_reported} ({v.gap_samples_reported})"),
        ("gaps that differ", v.gaps_different),
        ("ends of boots nobody could know", v.gaps_unknowable),
        *((name, value) for name, value in report.told.items() if name not in ("ok", "log")),
        ("all settled", "yes" if report.settled else "no"),
        ("wall, s", f"{report.seconds:.0f}"),
        ("verdict", "nothing lost, nothing doubled, every gap told" if report.ok else "FAILED"),
    ]
    lines = [f"{name:34}{value}" for name, value in rows]
    return "\n".join([*lines, *(f"  {detail}" for detail in v.details[:40])])
