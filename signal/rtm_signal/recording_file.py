"""Recordings as CSV and Parquet files: `t, sensor, ax, ay, az, gx, gy, gz` and optionally `mx, my, mz`.

One row a sample, sensors interleaved or one after the other. A blank, `nan` or infinite measurement is a
missing value (the time grid bridges and flags it); a blank or infinite time, a word where a number belongs or
a row of the wrong length is an error that names the file and the line.
"""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from rtm_signal.recording import FloatArray, Recording, RecordingError, SensorRecording

CHANNELS = {"acc": ("ax", "ay", "az"), "gyr": ("gx", "gy", "gz"), "mag": ("mx", "my", "mz")}
_REQUIRED = ("t", "sensor", *CHANNELS["acc"])
_KNOWN = ("t", "sensor", *itertools.chain.from_iterable(CHANNELS.values()))
_BLOCK_LINES = 200_000
"""Lines parsed at once: bounds the text a 24-hour file needs in memory beside its arrays (about 40 MB)."""
_NAME_CHARACTERS = 40
_PARQUET = {".parquet", ".pq"}

Columns = Mapping[str, NDArray[Any]]
"""By column name; `sensor` as codes into the names met so far (a name a row would need 1.4 GB for a day)."""


def read_recording(path: str | Path) -> Recording:
    """Read a recording; Parquet where the suffix says so (`.parquet`, `.pq`), else CSV.

    Raises `RecordingError` with one sentence that names the file, and the line where there is one.
    """
    path = Path(path)
    try:
        read = _read_parquet if path.suffix.lower() in _PARQUET else _read_csv
        columns, names = read(path)
    except FileNotFoundError:
        raise RecordingError(f"{path}: there is no such file.") from None
    except UnicodeDecodeError:
        raise RecordingError(f"{path}: this is not a text file in UTF-8.") from None
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read ({error.strerror or 'input error'}).") from None
    return _split_by_sensor(columns, names, path)


def write_recording(path: str | Path, recording: Recording) -> None:
    """Write a recording, one sensor after the other; Parquet where the suffix says so, else CSV.

    Numbers are written so that they read back exactly; channels that no sensor has are left out.
    """
    path = Path(path)
    sensors = recording.sensors
    table: dict[str, NDArray[Any]] = {
        "t": np.concatenate([np.empty(0), *(s.t for s in sensors.values())]),
        "sensor": np.repeat(np.array(list(sensors), dtype=object), [s.t.size for s in sensors.values()]),
    }
    for attribute, names in CHANNELS.items():
        parts = [getattr(s, attribute) for s in sensors.values()]
        if attribute == "mag" and all(part is None for part in parts):
            continue
        filled = [
            np.full((s.t.size, 3), np.nan) if part is None else part
            for s, part in zip(sensors.values(), parts, strict=True)
        ]
        values = np.concatenate([np.empty((0, 3)), *filled])
        table |= {name: values[:, i] for i, name in enumerate(names)}
    if path.suffix.lower() in _PARQUET:
        _write_parquet(path, table)
    else:
        _write_csv(path, table)


# CSV


def _read_csv(path: Path) -> tuple[Columns, list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = file.readline()
        if not header.strip():
            raise RecordingError(f"{path}: the file is empty.")
        names = [name.strip() for name in next(csv.reader([header]))]
        _check_header(names, path)
        codes: dict[str, int] = {}
        blocks = list(_csv_blocks(file, names, path, codes))
    if not blocks:
        raise RecordingError(f"{path}: the file has a header but no samples.")
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}, list(codes)


def _csv_blocks(
    file: Iterator[str], names: Sequence[str], path: Path, codes: dict[str, int]
) -> Iterator[Columns]:
    """Parse block by block: numpy's reader first, the careful one only for a block that numpy refuses."""
    used = {name: i for i, name in enumerate(names) if name in _KNOWN}
    dtype = np.dtype([(n, f"U{_NAME_CHARACTERS}" if n == "sensor" else np.float64) for n in used])
    line = 2
    while lines := list(itertools.islice(file, _BLOCK_LINES)):
        table = _numpy_rows(lines, len(names), list(used.values()), dtype)
        if table is None:
            table = np.array(_careful_rows(lines, line, names, path), dtype=dtype)
        if table.size:
            yield {n: _encode(table[n], codes) if n == "sensor" else table[n].copy() for n in used}
        line += len(lines)


def _numpy_rows(
    lines: Sequence[str], width: int, used: Sequence[int], dtype: np.dtype[Any]
) -> NDArray[Any] | None:
    """The block through numpy's reader; None where a row is not plain numbers in the right count."""
    if any('"' in text or text.count(",") != width - 1 for text in lines):
        return None
    try:
        return np.loadtxt(lines, delimiter=",", dtype=dtype, usecols=used, comments=None, ndmin=1)
    except ValueError:
        return None


def _careful_rows(
    lines: Sequence[str], first: int, names: Sequence[str], path: Path
) -> list[tuple[Any, ...]]:
    """Row by row: blanks become NaN, empty lines are skipped, anything else wrong is named with its line."""
    rows = []
    for number, cells in enumerate(csv.reader(lines), first):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(names):
            raise RecordingError(
                f"{path}, line {number}: {len(cells)} values where the header has {len(names)}."
            )
        rows.append(
            tuple(_cell(n, c.strip(), path, number) for n, c in zip(names, cells, strict=True) if n in _KNOWN)
        )
    return rows


def _cell(name: str, text: str, path: Path, line: int) -> str | float:
    if name == "sensor":
        return text
    try:
        return float(text) if text else math.nan
    except ValueError:
        raise RecordingError(f"{path}, line {line}: {name} is {text[:20]!r}, not a number.") from None


def _write_csv(path: Path, table: Columns) -> None:
    texts = [column.tolist() for column in table.values()]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table)
        writer.writerows(
            ["" if isinstance(value, float) and math.isnan(value) else value for value in row]
            for row in zip(*texts, strict=True)
        )


# Parquet


def _pyarrow() -> Any:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, needed for Parquet only
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError:
        raise RecordingError("Parquet recordings need pyarrow: install homestretch[archive].") from None
    return pa


def _read_parquet(path: Path) -> tuple[Columns, list[str]]:
    pa = _pyarrow()
    try:
        names = pa.parquet.read_schema(path).names
        _check_header(names, path)
        table = pa.parquet.read_table(path, columns=[name for name in names if name in _KNOWN])
        columns: dict[str, NDArray[Any]] = {}
        codes: dict[str, int] = {}
        for name in table.column_names:
            column = table.column(name)
            if name == "sensor":
                words = column.cast(pa.string()).fill_null("").combine_chunks().dictionary_encode()

                known = _encode(np.array(words.dictionary.to_pylist(), dtype=str), codes)
                columns[name] = known[words.indices.to_numpy()]
            else:
                columns[name] = column.cast(pa.float64()).to_numpy().astype(np.float64)
    except pa.ArrowException as error:
        why = str(error).splitlines()[0]
        raise RecordingError(f"{path}: this Parquet file cannot be read ({why}).") from None
    return columns, list(codes)


def _write_parquet(path: Path, table: Columns) -> None:
    pa = _pyarrow()
    arrays = {
        name: pa.array(column, type=pa.string()) if name == "sensor" else pa.array(column)
        for name, column in table.items()
    }
    pa.parquet.write_table(pa.table(arrays), path)


# From columns to sensors


def _check_header(names: Sequence[str], path: Path) -> None:
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        found = ", ".join(names)[:120]
        raise RecordingError(f"{path}, line 1: the column {missing[0]!r} is missing (found: {found}).")
    twice = [name for name in _KNOWN if list(names).count(name) > 1]
    if twice:
        raise RecordingError(f"{path}, line 1: the column {twice[0]!r} stands there twice.")
    for channel, group in CHANNELS.items():
        present = [name for name in group if name in names]
        if present and len(present) < 3:
            raise RecordingError(
                f"{path}, line 1: of the three axes of {channel} only {present} stand there."
            )


def _split_by_sensor(columns: Columns, names: list[str], path: Path) -> Recording:
    if columns["t"].size == 0:
        raise RecordingError(f"{path}: the file has a header but no samples.")
    bad_time = np.flatnonzero(~np.isfinite(columns["t"]))
    if bad_time.size:
        _refuse_row(path, int(bad_time[0]), "t is not a finite number")
    if "" in names:
        row = np.flatnonzero(columns["sensor"] == names.index(""))[0]
        _refuse_row(path, int(row), "the sensor has no name")
    sensors = {}
    for code, name in enumerate(names):
        rows = _rows_of(columns["sensor"], code)
        channels = {channel: _channel(columns, group, rows) for channel, group in CHANNELS.items()}
        acc = channels["acc"]
        if acc is None:
            raise RecordingError(f"{path}: the sensor {name} has no accelerometer values.")
        sensors[name] = SensorRecording(
            t=columns["t"][rows], acc=acc, gyr=channels["gyr"], mag=channels["mag"]
        )
    return Recording(sensors)


def _encode(names: NDArray[np.str_], codes: dict[str, int]) -> NDArray[np.int32]:
    """Names as codes, in the order in which they are first met; `codes` grows."""
    words, first, which = np.unique(names, return_index=True, return_inverse=True)
    for index in np.argsort(first):
        codes.setdefault(str(words[index]).strip(), len(codes))
    return np.array([codes[str(word).strip()] for word in words], dtype=np.int32)[which]


def _rows_of(sensors: NDArray[np.int32], code: int) -> NDArray[np.intp] | slice:
    """The rows of one sensor; a slice where it stands in one piece, which costs no copy."""
    mine = sensors == code
    first, last = int(np.argmax(mine)), len(mine) - int(np.argmax(mine[::-1]))
    return slice(first, last) if bool(mine[first:last].all()) else np.flatnonzero(mine)


def _channel(columns: Columns, group: Sequence[str], rows: NDArray[np.intp] | slice) -> FloatArray | None:
    """(n, 3) with NaN where a value is missing; None where the whole channel is."""
    if group[0] not in columns:
        return None
    values = np.empty((len(columns["t"][rows]), 3))
    for axis, name in enumerate(group):
        values[:, axis] = columns[name][rows]
    missing = ~np.isfinite(values)
    if missing.any():
        values[missing] = np.nan
        if missing.any(axis=1).all():
            return None
    return values


def _refuse_row(path: Path, index: int, why: str) -> NoReturn:
    where = f"row {index + 1}" if path.suffix.lower() in _PARQUET else f"line {_line_of_row(path, index)}"
    raise RecordingError(f"{path}, {where}: {why}.")


def _line_of_row(path: Path, index: int) -> int:
    """The line of the index-th sample: empty lines are skipped but counted."""
    with path.open(encoding="utf-8-sig") as file:
        samples = (number for number, text in enumerate(file, 1) if number > 1 and text.strip(" ,\r\n\t"))
        return next(itertools.islice(samples, index, None), index + 2)
