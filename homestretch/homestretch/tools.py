"""Commands that need no server: analyse a recording, list the exercises, decide a billing case."""

from __future__ import annotations

import csv
import dataclasses
import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from homestretch.command import WRONG_USAGE, CommandError, plain_failures, print_json
from homestretch.progress import working

if TYPE_CHECKING:
    from rtm_signal.result import Analysis, AngleSeries

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def analyze(
    recording: Annotated[Path, typer.Argument(help="The recording, CSV or Parquet.")],
    exercise: Annotated[
        str, typer.Option("--exercise", help="A catalogue id (`rtm exercises`) or `generic`.")
    ],
    calibration: Annotated[
        Path | None, typer.Option("--calibration", help="A recording of a few supervised repetitions.")
    ] = None,
    calibration_repetitions: Annotated[
        int | None, typer.Option("--calibration-repetitions", min=1, help="How many repetitions it holds.")
    ] = None,
    pose: Annotated[
        Path | None, typer.Option("--pose", help="A recording of standing or lying still.")
    ] = None,
    trimmed: Annotated[
        bool, typer.Option("--trimmed", help="The recording is one set, edge to edge.")
    ] = False,
    angle: Annotated[
        Path | None, typer.Option("--angle", help="Write t, angle_deg, valid to this CSV.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw the analysis to this .svg or .png.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Count the repetitions of a recording and measure its range of motion."""
    with plain_failures(as_json=as_json):
        from rtm_signal import analysis, catalogue, recording_file  # noqa: PLC0415 - numpy only where used

        if (calibration is None) != (calibration_repetitions is None):
            raise CommandError("--calibration and --calibration-repetitions go together.", WRONG_USAGE)
        if plot is not None and plot.suffix.lower() not in {".svg", ".png"}:
            raise CommandError(f"--plot writes .svg or .png, not {plot.name}.", WRONG_USAGE)
        try:
            if exercise != "generic":
                catalogue.get(exercise)
        except catalogue.UnknownExercise as error:
            raise CommandError(str(error), WRONG_USAGE) from error
        with working(f"Reading {recording.name} ..."):
            read = recording_file.read_recording(recording)
        with working(f"Analysing {recording.name} ..."):
            result = analysis.analyze(
                read,
                exercise,
                calibration=None if calibration is None else recording_file.read_recording(calibration),
                calibration_repetitions=calibration_repetitions,
                pose=None if pose is None else recording_file.read_recording(pose),
                trimmed=trimmed,
            )
        if angle is not None:
            _write_angle(angle, result.angle_series)
        if plot is not None:
            from rtm_signal import plot as drawing  # noqa: PLC0415 - matplotlib is an extra

            drawing.plot(result, plot)
        if as_json:
            print_json(analysis.to_json(result))
        else:
            _print_analysis(result)


def _write_angle(path: Path, series: AngleSeries | None) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("t", "angle_deg", "valid"))
        if series is not None:
            writer.writerows(
                (f"{t:.6f}", f"{angle:.4f}" if valid else "", int(valid))
                for t, angle, valid in zip(
                    series.t.tolist(), series.angle_deg.tolist(), series.valid.tolist(), strict=True
                )
            )


def _print_analysis(result: Analysis) -> None:
    low, high = result.repetitions_range
    print(
        f"{result.exercise}: {result.repetitions} repetitions ({low} to {high}) in {result.duration_s:.1f} s"
    )
    if result.angle is not None and result.rom_deg.median is not None:
        spread = "" if result.rom_deg.uncertainty is None else f" ± {result.rom_deg.uncertainty:.1f}"
        print(
            f"range of motion, {result.angle.name} of {' and '.join(result.angle.of)}: "
            f"median {result.rom_deg.median:.1f}{spread}°, largest {result.rom_deg.max:.1f}°"
        )
    for number, group in enumerate(result.sets, start=1):
        print(
            f"set {number}: {len(group.repetitions)} repetitions, {group.start_s:.1f} to {group.end_s:.1f} s"
        )
    for item in result.withheld:
        span = "" if item.from_s is None else f" from {item.from_s:.1f} to {item.to_s:.1f} s"
        print(f"withheld: {item.what}{span}: {item.why}")


def exercises(
    exercise: Annotated[str | None, typer.Argument(help="Only this one, by its id.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List the exercise catalogue."""
    with plain_failures(as_json=as_json):
        from rtm_signal.catalogue import EXERCISES, UnknownExercise, get  # noqa: PLC0415 - only where used

        try:
            listed = list(EXERCISES.values()) if exercise is None else [get(exercise)]
        except UnknownExercise as error:
            raise CommandError(str(error), WRONG_USAGE) from error
        if as_json:
            print_json([dataclasses.asdict(each) for each in listed])
            return
        from rich.console import Console  # noqa: PLC0415 - a terminal only where there is one
        from rich.table import Table  # noqa: PLC0415

        table = Table("id", "name", "joint", "type", "serves", "counted", box=None, pad_edge=False)
        width = None if sys.stdout.isatty() else 200  # a pipe has no width: nothing is cut off
        for item in listed:
            table.add_row(item.id, item.name, item.joint, item.type, item.parameter, item.counted)
        Console(width=width).print(table)


def bill(
    case: Annotated[
        Path | None, typer.Argument(help="The case, JSON (docs/reference/billing-cases.md).")
    ] = None,
    settings: Annotated[bool, typer.Option("--settings", help="List the settings instead.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Decide which claim lines the evidence of a case supports, with reasons."""
    with plain_failures(as_json=as_json):
        import rtm_billing  # noqa: PLC0415 - other commands do not need it

        if settings == (case is not None):
            raise CommandError("Give either a case or --settings.", WRONG_USAGE)
        if case is None:
            _print_settings(rtm_billing.settings_table(), as_json=as_json)
            return
        result = rtm_billing.evaluate(_read_json(case))
        if as_json:
            print_json(result)
        else:
            _print_decisions(result)


def _read_json(path: Path) -> dict[str, object]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_object)
    except UnicodeDecodeError:
        raise CommandError(f"{path} is not a text file in UTF-8.") from None
    except RecursionError:
        raise CommandError(f"{path} is nested too deeply to be a case.") from None
    except ValueError as error:  # no JSON, or a number of thousands of digits
        raise CommandError(f"{path} is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise CommandError(f"{path} holds no JSON object, which a case is.")
    return document


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Of a key given twice JSON leaves open which one holds, so none does."""
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise CommandError(f"The case gives the key {twice[:40]!r} twice.")
    return made


def _print_settings(table: list[dict[str, object]], *, as_json: bool) -> None:
    if as_json:
        print_json(table)
        return
    for row in table:
        values = row["values"]
        choices = " | ".join(map(str, values)) if isinstance(values, list | tuple) else str(values)
        print(f"{row['name']}: default {row['default']} (values: {choices}; {row['source']})")


def _period(line: dict[str, object]) -> str:
    period = line["period"]
    return " to ".join(map(str, period)) if isinstance(period, list | tuple) else str(period)


def _print_decisions(result: dict[str, object]) -> None:
    def rows(name: str) -> list[dict[str, object]]:
        value = result.get(name)
        return value if isinstance(value, list) else []

    for line in rows("lines"):
        modifiers = line["modifiers"]
        tail = "-" + "-".join(modifiers) if isinstance(modifiers, list) and modifiers else ""
        print(f"{line['decision']}: {line['code']}{tail} x {line['units']} on {line['service_date']}")
        for reason in line["reasons"] if isinstance(line["reasons"], list) else []:
            print(f"    {reason}")
    for line in rows("not_billable"):
        print(f"not billable: {line['code']}, {_period(line)}: {line['why']}")
    for line in rows("open"):
        codes = line["codes"]
        names = ", ".join(map(str, codes)) if isinstance(codes, list) else str(codes)
        print(
            f"open: {names}, {_period(line)}: {line['have']} of {line['need']} {line['unit']}, "
            f"{line['days_left']} days left"
        )
    warnings = result.get("warnings")
    for warning in warnings if isinstance(warnings, list) else []:
        print(f"note: {warning}")
