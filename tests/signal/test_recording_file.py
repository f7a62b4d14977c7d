"""Recordings written and read back; malformed ones refused with file and line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rtm_signal.recording import Recording, RecordingError, SensorRecording
from rtm_signal.recording_file import read_recording, write_recording

HEADER = "t,sensor,ax,ay,az,gx,gy,gz\n"
finite = st.floats(-1e6, 1e6, allow_nan=False, width=64)


def three(n: int) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float64, (n, 3), elements=finite)


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    sensors = {}
    for name in draw(st.lists(st.sampled_from(["thigh", "left_shank", "wrist"]), min_size=1, unique=True)):
        n = draw(st.integers(1, 12))
        t = np.sort(draw(hnp.arrays(np.float64, n, elements=st.floats(0, 1e5))))
        gyr = draw(three(n)) if draw(st.booleans()) else None
        mag = draw(three(n)) if draw(st.booleans()) else None
        sensors[name] = SensorRecording(t, draw(three(n)), gyr, mag)
    return Recording(sensors)


def assert_same(a: Recording, b: Recording) -> None:
    assert list(a.sensors) == list(b.sensors)
    for name, one in a.sensors.items():
        other = b.sensors[name]
        np.testing.assert_array_equal(one.t, other.t)
        np.testing.assert_array_equal(one.acc, other.acc)
        for mine, theirs in ((one.gyr, other.gyr), (one.mag, other.mag)):
            assert (mine is None) == (theirs is None)
            if mine is not None:
                np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@settings(max_examples=25, deadline=None)
@given(recording=recordings())
def test_what_is_written_is_read(
    suffix: str, recording: Recording, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("recording") / f"one{suffix}"
    write_recording(path, recording)
    assert_same(recording, read_recording(path))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the file is empty"),
        (HEADER, "no samples"),
        ("t,ax,ay,az\n0,1,2,3\n", "line 1: the column 'sensor' is missing"),
        ("t,sensor,ax,ay,az,gx\n", "line 1: of the three axes of gyr"),
        ("t,t,sensor,ax,ay,az\n", "line 1: the column 't' stands there twice"),
        (HEADER + "0,a,1,2,3,4,5,6\n0.1,a,1,2,3,4,5\n", "line 3: 7 values where the header has 8"),
        (HEADER + "0,a,1,2,3,4,5,6,7\n", "line 2: 9 values"),
        (HEADER + "0,a,1,2,3,4,5,6\n\n0.1,a,1,x,3,4,5,6\n", "line 4: ay is 'x', not a number"),
        (HEADER + "0,a,1,2,3,4,5,6\n\nnan,a,1,2,3,4,5,6\n", "line 4: t is not a finite number"),
        (HEADER + "0,a,1,2,3,4,5,6\n,a,1,2,3,4,5,6\n", "line 3: t is not a finite number"),
        (HEADER + "0,,1,2,3,4,5,6\n", "line 2: the sensor has no name"),
        (HEADER + "0,a,,,,4,5,6\n", "the sensor a has no accelerometer"),
    ],
)
def test_a_malformed_file_is_named_with_its_line(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(RecordingError) as refused:
        read_recording(path)
    assert says in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_such_file_and_no_text_are_errors_of_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no such file"):
        read_recording(tmp_path / "none.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(RecordingError, match="UTF-8"):
        read_recording(tmp_path / "bytes.csv")
    (tmp_path / "not.parquet").write_bytes(b"PAR0")
    with pytest.raises(RecordingError, match="Parquet"):
        read_recording(tmp_path / "not.parquet")


def test_blanks_are_missing_values_and_a_blank_channel_is_no_channel(tmp_path: Path) -> None:
    path = tmp_path / "blank.csv"
    path.write_text(HEADER + "0,a,1,2,3,,,\n0.1,a,1,inf,3,,,\n0,b,1,2,3,4,5,6\n")
    read = read_recording(path)
    assert read.sensors["a"].gyr is None
    assert np.isnan(read.sensors["a"].acc[1, 1])
    assert read.sensors["b"].gyr is not None


def test_other_columns_and_quotes_are_no_matter(tmp_path: Path) -> None:
    path = tmp_path / "more.csv"
    path.write_text('note,t,sensor,az,ay,ax\n"a, b",0,wrist,3,2,1\n,0.5,wrist,6,5,4\n')
    read = read_recording(path)
    np.testing.assert_array_equal(read.sensors["wrist"].acc, [[1, 2, 3], [4, 5, 6]])


def test_blocks_join_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtm_signal.recording_file._BLOCK_LINES", 7)
    rng = np.random.default_rng(0)
    t = np.arange(40) / 50
    recording = Recording({n: SensorRecording(t, rng.normal(size=(40, 3))) for n in ("a", "b")})
    path = tmp_path / "blocks.csv"
    write_recording(path, recording)
    assert_same(recording, read_recording(path))
    lines = path.read_text().splitlines(keepends=True)
    lines[30] = "0.1,a,1,2\n"
    path.write_text("".join(lines))
    with pytest.raises(RecordingError, match="line 31"):
        read_recording(path)
