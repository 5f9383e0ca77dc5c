from pathlib import Path

import pytest

from textmod_model.training.dataset import DatasetError, read


def write(folder: Path, data: bytes) -> Path:
    path = folder / "data.csv"
    path.write_bytes(data)
    return path


def test_reads_the_kaggle_layout_with_stray_bytes(tmp_path: Path) -> None:
    data = b'"","X","BODY","REMOVED"\n"1",7,"caf\xe9 \x8d <U+2019>\r\n\r\nmore, ""quoted""",0\n'
    data += b'"2",8,"bad",1\n'
    rows = read(write(tmp_path, data))
    assert rows.texts == ['café \ufffd <U+2019>\r\n\r\nmore, "quoted"', "bad"]
    assert rows.labels == [0, 1]


def test_reads_text_and_label_in_utf8_with_a_byte_order_mark(tmp_path: Path) -> None:
    rows = read(write(tmp_path, "\ufefftext,label\n科学,kept\nno,Removed\n".encode()))
    assert (rows.texts, rows.labels) == (["科学", "no"], [0, 1])


def test_column_flags_choose_other_columns(tmp_path: Path) -> None:
    path = write(tmp_path, b"id,content,bad\n1,a,0\n2,b,1\n")
    assert read(path, text_column="content", label_columns=["bad"]).texts == ["a", "b"]


def test_empty_and_missing_texts_are_left_out(tmp_path: Path) -> None:
    rows = read(write(tmp_path, b"text,label\n,0\nNA,1\n\na,0\nb,1\n"))
    assert rows.texts == ["a", "b"]


def test_the_digest_depends_on_the_rows_alone(tmp_path: Path) -> None:
    one = read(write(tmp_path, b"text,label\ncaf\xe9,0\nb,1\n"))
    other = read(write(tmp_path, "label,body\n0,café\n1.0,b\n".encode()))
    assert one.digest == other.digest
    assert one.digest != read(write(tmp_path, b"text,label\ncaf\xe9,1\nb,0\n")).digest


def test_a_field_of_a_megabyte_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, b"text,label\n" + b"a" * 2**20 + b",0\nb,1\n")
    assert len(read(path).texts[0]) == 2**20


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "is empty", id="empty file"),
        pytest.param(b"a,b\n1,2\n", "has no column BODY or body", id="no text column"),
        pytest.param(b"text,b\n1,2\n", "--label", id="no label column"),
        pytest.param(b"text,label\na,2\n", "line 2: the label '2'", id="label of neither class"),
        pytest.param(b"text,label\na\n", "line 2: 1 fields, the header has 2", id="short row"),
        pytest.param(b"text,label\na,0\nb,0\n", "both labels", id="one class only"),
    ],
)
def test_says_what_is_wrong(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read(write(tmp_path, data))


def test_says_that_a_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read: No such file"):
        read(tmp_path / "none.csv")
