"""Tables read as they are: nothing turned into a number, an NA or another row."""

from pathlib import Path

import pandas as pd
import pytest

from mfal.errors import DataError, MissingDependencyError
from mfal.tabular import Complaint, csv_text, finite_number, frame_sheet, read_sheet, refuse


def write(folder: Path, content: str) -> Path:
    path = folder / "data.csv"
    path.write_bytes(content.encode())
    return path


def test_a_csv_is_text_with_the_lines_it_stands_on(tmp_path: Path) -> None:
    content = '\ufeffcandidate,x\r\nNA,007\r\n\r\nnan,\r\n"a\nb","1,5"\r\n1e3, \r\n'
    sheet = read_sheet(write(tmp_path, content))
    assert sheet.columns == ("candidate", "x")
    assert sheet.rows == (
        (2, {"candidate": "NA", "x": "007"}),
        (4, {"candidate": "nan", "x": None}),
        (5, {"candidate": "a\nb", "x": "1,5"}),
        (7, {"candidate": "1e3", "x": None}),
    )


def test_rows_of_nothing_but_commas_are_none(tmp_path: Path) -> None:
    sheet = read_sheet(write(tmp_path, "candidate,x\nA,1\n,\n, \n,,,\n"))
    assert sheet.rows == ((2, {"candidate": "A", "x": "1"}),)


def test_what_is_written_ends_its_lines_in_a_line_feed_and_comes_back(tmp_path: Path) -> None:
    rows = [["candidate", "x"], ["A", "1"], ["a\rb", "2"], ["c\nd", "3"], ['e"f', "g,h"]]
    text = csv_text(rows)
    assert text.startswith("candidate,x\nA,1\n") and text.count("\r") == 1
    read = read_sheet(write(tmp_path, text))
    assert [list(cells.values()) for _, cells in read.rows] == rows[1:]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n1,2,3\n4\n", "row 3: has 3 cells; the header has 2.*\n.*row 4: has 1 cells"),
        ("a,b\n1,2,5\n", "write numbers with a point"),
        ("a;b\n1;2,5\n", "its columns are separated by ';'\n.*commas, and write .* with a point"),
        ("a\tb\n1\t2\n", "its columns are separated by tabs\n.*separate them by commas"),
        ("a,b,a\n", "the column 'a' stands twice"),
        ("a,, \n1,2,\n1,,3\n", "2 columns have no name\n.*name them, or take them out"),
        ('a,b\n1,"2\n', "cannot be read: unexpected end of data"),
    ],
)
def test_a_csv_that_is_none_is_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_sheet(write(tmp_path, content))


def test_columns_of_nothing_are_left_out(tmp_path: Path) -> None:
    sheet = read_sheet(write(tmp_path, "a,,b,c, \n1,,2,, \n3,,4,,\n"))
    assert sheet.columns == ("a", "b", "c")
    assert sheet.rows == (
        (2, {"a": "1", "b": "2", "c": None}),
        (3, {"a": "3", "b": "4", "c": None}),
    )


def test_a_csv_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes("candidate\nä\n".encode("latin-1"))
    with pytest.raises(DataError, match="cannot be read") as raised:
        read_sheet(path)
    assert "UTF-8" in raised.value.hint


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"neither \.csv nor \.parquet"):
        read_sheet(tmp_path / "data.xlsx")
    with pytest.raises(DataError, match="no such file"):
        read_sheet(tmp_path / "data.csv")
    with pytest.raises(DataError, match=r"cannot be read: .*name too long"):
        read_sheet(tmp_path / f"{300 * 'x'}.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match=r"folder\.csv: is a folder"):
        read_sheet(tmp_path / "folder.csv")


@pytest.mark.parametrize(
    ("cell", "number"),
    [(" 10 ", 10), ("-.5", -0.5), ("+3.", 3), ("1e-3", 1e-3), ("2.5E+2", 250), (7, 7), (0.5, 0.5)],
)
def test_numbers_are_read_as_they_are_written(cell: object, number: float) -> None:
    assert finite_number(cell) == number


@pytest.mark.parametrize(
    "cell",
    [
        *("1_0", "\uff11\uff10", "\u0661", "", ".", "e5", "1e", "0x10", "1,5"),
        *("nan", "inf", "1e999", float("nan"), None, True, b"1"),
        pytest.param(10**400, id="10**400"),
    ],
)
def test_what_other_programs_would_not_write_is_no_number(cell: object) -> None:
    assert finite_number(cell) is None


def test_a_frame_keeps_its_values_and_says_what_is_missing() -> None:
    frame = pd.DataFrame(
        {
            "candidate": ["NA", " ", "c"],
            "value": [1.5, float("nan"), float("inf")],
            "cost": pd.array([1, None, 3], dtype="Int64"),
        },
        index=[7, 8, 9],
    )
    sheet = frame_sheet(frame, "frame")
    assert sheet.source == "frame"
    assert sheet.rows == (
        (1, {"candidate": "NA", "value": 1.5, "cost": 1}),
        (2, {"candidate": None, "value": None, "cost": None}),
        (3, {"candidate": "c", "value": float("inf"), "cost": 3}),
    )


def test_parquet_without_pyarrow_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mfal.tabular.find_spec", lambda name: None)
    path = tmp_path / "data.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(MissingDependencyError, match="pyarrow") as raised:
        read_sheet(path)
    assert "pip install pyarrow" in raised.value.hint


def test_parquet_is_a_frame(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    frame = pd.DataFrame({"candidate": ["a", None], "value": [1.5, None]})
    frame.to_parquet(path)
    assert read_sheet(path).rows == frame_sheet(frame, "").rows
    path.write_bytes(b"PAR1")
    with pytest.raises(DataError, match="cannot be read"):
        read_sheet(path)


def test_complaints_are_named_by_row_up_to_twenty() -> None:
    refuse("data.csv", [])
    with pytest.raises(DataError) as raised:
        refuse("data.csv", [Complaint(i, "x", "is odd", "be even") for i in range(25, 0, -1)])
    lines = raised.value.message.splitlines()
    assert lines[0] == "data.csv: 25 rows cannot be used, so nothing was:"
    assert lines[1] == "  row 1, column x: is odd; be even"
    assert len(lines) == 22 and lines[-1] == "  and 5 more"
