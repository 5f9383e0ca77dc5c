"""Every damaged file gets a sentence with its line; nothing is lost in silence."""

import csv
import gzip
import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textmod_model.training.dataset import NO_TEXT, Dataset, DatasetError, read

GOOD = "".join(f"{number % 2},text number {number}\n" for number in range(60))


def write(folder: Path, data: bytes | str, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param("0,hello, you idiot\n", "line 2: 3 fields, the header has 2", id="comma"),
        pytest.param('0,"one\n1,two\n0,three"\n', "line 2: .*takes in the next 2 rows", id="stray"),
        pytest.param('0,"one\n1,two\n', "line 2: .*nothing closes it", id="never closed"),
        pytest.param('0,"one" two\n', "line 2: more text behind", id="behind"),
        pytest.param('0,"one\ntwo" three\n', r"line 3 \(of the row.* line 2\)", id="behind, later"),
        pytest.param('0,"a\nb\nc\nd"\n2,bad\n', "line 6: the label '2'", id="after four lines"),
        pytest.param("\n\n0,a\n\n,b\n", "line 6: the label ''", id="no label"),
        pytest.param("0,a\r,b\r", "line 3: the label ''", id="old line ends"),
        pytest.param("nan,a\n", "line 2: the label 'nan'", id="not a number"),
        pytest.param("-1,a\n", "line 2: the label '-1'", id="below 0"),
        pytest.param("1.5,a\n", "line 2: the label '1.5'", id="above 1"),
        pytest.param("0_1,a\n", "line 2: the label '0_1'", id="Python's number"),
        pytest.param("\x1b[2J,a\n", r"line 2: the label '\\x1b\[2J'", id="control characters"),
    ],
)
def test_what_is_damaged_is_named_with_its_line(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read(write(tmp_path, f"label,text\n{rows}{GOOD}".replace("\n", "\n")))


def test_the_line_of_a_label_behind_a_text_of_several_lines(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="line 4: the label 'x'"):
        read(write(tmp_path, 'text,label\n"one\ntwo\nthree",x\nb,0\n'))


def test_a_quotation_of_several_lines_is_a_text(tmp_path: Path) -> None:
    text = "first\n1,2\n\nlast, of all"
    data = read(write(tmp_path, f'label,text\n0,"{text}"\n1,b\n'))
    assert data.texts == [text, "b"]


@pytest.mark.parametrize("blank", ["\n", ",\n", ' , \n,""\n', "\r\n\r\n"])
def test_blank_rows_are_skipped(tmp_path: Path, blank: str) -> None:
    data = read(write(tmp_path, f"label,text\n{blank}0,a\n{blank}1,b\n{blank}"))
    assert (data.texts, data.notes) == (["a", "b"], ())


def test_rows_without_a_text_are_left_out_aloud(tmp_path: Path) -> None:
    data = read(write(tmp_path, "label,text\n0,\n0,a\n1,NA\n1,b\n0, \n0,\n"))
    assert data.texts == ["a", "b"]
    assert data.notes == ("4 rows without a text left out: line 2, line 4, line 6 and 1 more",)


@pytest.mark.parametrize(
    "missing", ["NA", "nan", "NaN", "None", "NULL", "null", "<NA>", "\\N", "#N/A", "#NAME?"]
)
def test_what_tools_write_for_no_text_is_no_text(tmp_path: Path, missing: str) -> None:
    data = read(write(tmp_path, f"text,label\na,0\n{missing},0\nb,1\nnone of it,1\n"))
    assert data.texts == ["a", "b", "none of it"]
    assert data.notes == ("1 row without a text left out: line 3",)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("text,id\na,1\ntext,id\nb,2\n", id="two columns"),
        pytest.param("text,id\na,1\n\ufefftext,id\nb,2\n", id="with a mark"),
        pytest.param("text\na\n\ufefftext\nb\n", id="one column, with a mark"),
    ],
)
def test_the_header_of_a_joined_file_is_no_text(tmp_path: Path, text: str) -> None:
    with pytest.raises(DatasetError, match=r"line 3: the header is here again.*leave this line"):
        read(write(tmp_path, text), labelled=False)


def test_a_text_may_be_the_name_of_its_column(tmp_path: Path) -> None:
    assert read(write(tmp_path, "text\na\ntext\n"), labelled=False).texts == ["a", "text"]


def test_one_bad_byte_in_utf8_is_repaired_and_the_rest_stays(tmp_path: Path) -> None:
    rows = "label,text\n0,科学 ok\n1,naïve ".encode() + b"caf\xe9" + b",\n"[1:]
    data = read(write(tmp_path, rows))
    assert data.texts == ["科学 ok", "naïve café"]
    assert data.notes == ("bytes that are not UTF-8 were read as Windows-1252 on line 3",)


def test_windows_1252_is_read_as_a_whole(tmp_path: Path) -> None:
    data = read(write(tmp_path, "label,text\n0,“café”\n1,naïve Ã©\n".encode("cp1252")))
    assert data.texts == ["“café”", "naïve Ã©"]
    assert data.notes == ()


def test_another_encoding_is_read_aloud(tmp_path: Path) -> None:
    rows = "label,text\n" + "0,这个研究很有意思\n1,你好笨啊请问来源\n" * 3
    notes = read(write(tmp_path, rows.encode("gbk"))).notes
    assert notes[0].startswith("the file is not UTF-8 and was read as Windows-1252")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(gzip.compress(GOOD.encode()), "compressed with gzip: unpack it", id="gzip"),
        pytest.param(b"PK\x03\x04rest", "a ZIP archive or a spreadsheet", id="xlsx"),
    ],
)
def test_files_of_another_kind_are_named(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read(write(tmp_path, data))


def test_two_byte_order_marks_are_no_part_of_a_name(tmp_path: Path) -> None:
    assert read(write(tmp_path, "\ufeff\ufefftext,label\na,0\nb,1\n")).texts == ["a", "b"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_byte_order_marks(tmp_path: Path, encoding: str) -> None:
    assert read(write(tmp_path, "text,label\n科学,0\nb,1\n".encode(encoding))).texts[0] == "科学"


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="not text, or UTF-16 without a byte order mark"):
        read(write(tmp_path, "text,label\na,0\nb,1\n".encode("utf-16-le")))


def test_a_nul_is_part_of_a_text(tmp_path: Path) -> None:
    assert (
        read(write(tmp_path, "text,label\nthis is a\0b,0\nand this is b,1\n")).texts[0][-3:]
        == "a\0b"
    )


@pytest.mark.parametrize("mark", [";", "\t"])
def test_other_separators(tmp_path: Path, mark: str) -> None:
    assert read(write(tmp_path, f"text{mark}label\na, b{mark}0\nc{mark}1\n")).texts == ["a, b", "c"]


def test_a_label_is_never_the_text(tmp_path: Path) -> None:
    path = write(tmp_path, "text,label\n0,0\n1,1\n")
    with pytest.raises(DatasetError, match="one column cannot be two"):
        read(path, text_column="label")


def test_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="2 columns named label"):
        read(write(tmp_path, "text,label,label\na,0,1\n"))


def test_columns_that_differ_in_case_alone_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "TEXT,Text,label\nold,a,0\nold,b,1\n")
    with pytest.raises(DatasetError, match="has the columns TEXT and Text: name the right one"):
        read(path)
    assert read(path, text_column="Text").texts == ["a", "b"]
    assert read(write(tmp_path, "TEXT,text,label\nold,a,0\nold,b,1\n")).texts == ["a", "b"]


def test_of_several_columns_of_known_names_the_one_that_is_read_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "comment,text,label,removed\nx,a,0,1\ny,b,1,0\n")
    data = read(path)
    assert (data.texts, data.labels) == (["a", "b"], [1, 0])
    assert data.notes == (
        "the column text was read, not comment: --text-column names one",
        "the column removed was read, not label: --label-column names one",
    )
    assert not read(path, text_column="text", label_columns=["label"]).notes


def test_repeated_texts_are_counted(tmp_path: Path) -> None:
    data = read(write(tmp_path, "label,text\n0,Well done!\n1,well  done\n1,other\n0,other.\n1,c\n"))
    assert data.groups() == [0, 0, 1, 1, 2]
    assert data.notes == (
        (
            "2 rows of 5 repeat the words of another row, 2 texts with labels that differ; "
            "a training keeps such rows in one fold"
        ),
    )


# --- several labels ---------------------------------------------------------------------------


def test_labels_by_votes(tmp_path: Path) -> None:
    path = write(tmp_path, "text,n,rude,hate\na,3,3,0\nb,6,2,0.5\nc,3,0,1\n")
    data = read(path, label_columns=["rude", "hate"], votes_column="n")
    assert data.names == ("rude", "hate")
    assert data.targets == [(1.0, 0.0), (2 / 6, 0.5), (0.0, 1.0)]
    assert data.labels == [1, 0, 0]
    assert data.weights == [0.75, 1.5, 0.75]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param(
            "a,3,4\n",
            "the label '4' in the column rude is neither.*up to 3 votes",
            id="too many",
        ),
        pytest.param("a,0,0\n", "line 2: 0 votes, at least 1", id="no votes"),
        pytest.param("a,x,0\n", "line 2: the number of votes 'x' is none", id="no number"),
        pytest.param("a,3,1.5\nb,3,0\n", "line 2: 1.5 is no count of votes", id="half a vote"),
    ],
)
def test_votes_that_cannot_be(tmp_path: Path, rows: str, message: str) -> None:
    path = write(tmp_path, f"text,n,rude\n{rows}c,3,3\nd,3,0\n")
    with pytest.raises(DatasetError, match=message):
        read(path, label_columns=["rude"], votes_column="n")


def test_a_column_of_counts_without_a_two_is_doubted_aloud(tmp_path: Path) -> None:
    path = write(tmp_path, "text,n,rude,threat\na,9,7,0\nb,9,0,1\nc,9,3,0\n")
    data = read(path, label_columns=["rude", "threat"], votes_column="n")
    assert data.targets[1] == (0.0, 1.0)
    assert data.notes == (
        (
            "the column threat has nothing above 1, so its 1 was read as all votes of a row: "
            "if it counts votes, divide it by their number"
        ),
    )


@pytest.mark.parametrize(
    "threat", [pytest.param(("0", "0.5", "1"), id="shares"), pytest.param(("0", "1", "9"), id="9")]
)
def test_a_column_that_can_be_told_is_not_doubted(tmp_path: Path, threat: tuple[str, ...]) -> None:
    rows = "".join(f"{value},9,{value}\n" for value in threat)
    data = read(
        write(tmp_path, f"text,n,threat\n{rows}"), label_columns=["threat"], votes_column="n"
    )
    assert not data.notes


def test_each_label_needs_both_sides(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="rows with the label 'b'"):
        read(write(tmp_path, "text,a,b\nx,0,0\ny,1,0\n"), label_columns=["a", "b"])


# --- JSON Lines and Parquet -------------------------------------------------------------------


def test_json_lines(tmp_path: Path) -> None:
    rows = '{"text": "a\\nb", "label": 0}\n\n{"label": true, "text": "c", "more": 1}\n'
    data = read(write(tmp_path, rows, "data.jsonl"))
    assert (data.texts, data.labels) == (["a\nb", "c"], [0, 1])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param("{", "line 3: not JSON", id="broken"),
        pytest.param("[1]", "line 3: not a JSON object", id="a list"),
        pytest.param('{"text": 1, "label": 0}', "line 3: the text 1 is no string", id="number"),
        pytest.param('{"text": "a"}', "line 3: the label ''", id="no label"),
        pytest.param(f'{{"text": "a", "label": 1{"0" * 400}}}', "the label '1000", id="huge"),
    ],
)
def test_damaged_json_lines(tmp_path: Path, line: str, message: str) -> None:
    rows = f'{{"text": "a", "label": 0}}\n\n{line}\n'
    with pytest.raises(DatasetError, match=message):
        read(write(tmp_path, rows, "data.jsonl"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param(
            "data.jsonl", '{"text":"a","label":0}\n{"text":"b","label":0,"label":1}', id="lines"
        ),
        pytest.param(
            "data.json", '[{"text":"a","label":0},{"text":"b","label":0,"label":1}]', id="array"
        ),
    ],
)
def test_two_values_of_one_name_are_refused(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(DatasetError, match=r"(line|row) 2: the object has two values named label:"):
        read(write(tmp_path, text, name))


@pytest.mark.parametrize("answer", ["reject", "ignore"])
def test_a_label_that_was_rejected_in_prodigy_is_no_label(tmp_path: Path, answer: str) -> None:
    row = {"text": "a", "label": "REMOVED", "answer": "accept"}
    rows = [row, row | {"label": "KEPT"}, row | {"answer": answer}]
    path = write(tmp_path, "\n".join(map(json.dumps, rows)), "data.jsonl")
    with pytest.raises(DatasetError, match=f"line 3: Prodigy's answer is '{answer}', so the label"):
        read(path)
    assert read(write(tmp_path, json.dumps(rows[:2]), "data.jsonl")).labels == [1, 0]


def test_parquet(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({"text": ["a", None, "b"], "label": [False, True, True]})
    path = tmp_path / "data.bin"
    parquet.write_table(table, path)
    data = read(path)
    assert (data.texts, data.labels) == (["a", "b"], [0, 1])
    assert data.notes == ("1 row without a text left out: row 2",)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DatasetError, match="is damaged"):
        read(path)


def test_parquet_columns_that_nobody_reads_may_be_of_any_type(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table(
        {
            "when": pyarrow.array([1234567, None], pyarrow.timestamp("ns")),
            "day": pyarrow.array([2**30, 0], pyarrow.date32()),
            "more": pyarrow.array([{"a": 1}, None]),
            "text": pyarrow.array(["a", "b"]).dictionary_encode(),
            "label": pyarrow.array([0, 1], pyarrow.decimal128(3, 1)),
        }
    )
    path = tmp_path / "data.parquet"
    parquet.write_table(table, path)
    assert read(path).texts == ["a", "b"]
    with pytest.raises(DatasetError, match=r"row 1: the text of the type timestamp\[ns\] is no"):
        read(path, text_column="when")
    with pytest.raises(DatasetError, match="row 1: the label 'of the type date32"):
        read(path, label_columns=["day"])


@settings(max_examples=100, deadline=None)
@given(
    texts=st.lists(st.text(st.characters(exclude_categories=[]), max_size=20), max_size=8),
    kind=st.sampled_from(["jsonl", "json", "parquet"]),
)
def test_what_others_wrote_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], kind: str
) -> None:
    import pyarrow
    from pyarrow import parquet

    texts = ["first", *texts, "last"]
    path = tmp_path_factory.mktemp("written") / f"data.{kind}"
    rows = [{"text": text, "label": number % 2} for number, text in enumerate(texts)]
    if kind == "parquet":
        texts = [text.encode("utf-8", "replace").decode() for text in texts]
        rows = [row | {"text": text} for row, text in zip(rows, texts, strict=True)]
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        path.write_text("\n".join(map(json.dumps, rows)))
    expected = [text for text in texts if text.strip() and text not in NO_TEXT]
    try:
        data = read(path)
    except DatasetError as error:  # of one side
        assert_sentence(error)
        return
    assert data.texts == expected
    assert len(expected) == len(texts) or "without a text" in data.notes[0]


# --- any file ---------------------------------------------------------------------------------

TEXTS = st.text(
    st.one_of(
        st.characters(codec="utf-8", exclude_characters="\r"), st.sampled_from('",\n\0 éÃ科😀')
    ),
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(
    texts=st.lists(TEXTS, max_size=8),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    ends=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_what_a_csv_writer_wrote_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], encoding: str, ends: str
) -> None:
    texts = ["first", *texts, "last"]
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator=ends, quoting=csv.QUOTE_ALL)
    writer.writerow(("text", "label"))
    writer.writerows((text, number % 2) for number, text in enumerate(texts))
    path = tmp_path_factory.mktemp("written") / "data.csv"
    path.write_bytes(file.getvalue().encode(encoding))
    expected = [text for text in texts if text.strip() and text not in NO_TEXT]
    try:
        data = read(path)
    except DatasetError as error:  # a file all of NULs, or of one side
        assert_sentence(error)
        return
    assert data.texts == expected
    assert len(expected) == len(texts) or "without a text" in data.notes[0]


@settings(max_examples=400, deadline=None)
@given(
    rows=st.lists(st.binary(max_size=40), max_size=12),
    damage=st.lists(
        st.tuples(st.integers(0, 400), st.sampled_from(b'",\n\r\0;\xe9\xff01')), max_size=4
    ),
    name=st.sampled_from(["data.csv", "data.jsonl", "data.parquet"]),
)
def test_any_bytes_are_read_or_refused_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[bytes],
    damage: list[tuple[int, int]],
    name: str,
) -> None:
    data = bytearray(b"label,text\n0,a\n1,b\n" + b"\n".join(rows) + GOOD[:200].encode())
    for at, byte in damage:
        data[at % len(data)] = byte
    path = tmp_path_factory.mktemp("damaged") / name
    path.write_bytes(bytes(data))
    try:
        found = read(path)
    except DatasetError as error:
        assert_sentence(error)
    else:
        assert isinstance(found, Dataset)
        json.dumps(found.notes)


def assert_sentence(error: DatasetError) -> None:
    text = str(error)
    assert text.endswith((".", "--text-column.", "--label.")), text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("sep=;\ntext;label\nhello, there;0\nyou;1\n", id="Excel's first line"),
        pytest.param("\ufeffSEP=;\r\ntext;label\r\nhello, there;0\r\nyou;1\r\n", id="with a mark"),
        pytest.param("sep=\t\ntext\tlabel\nhello, there\t0\nyou\t1\n", id="tab"),
        pytest.param('"sep=,"\ntext,label\n"hello, there",0\nyou,1\n', id="quoted"),
        pytest.param("sep=;\rtext;label\rhello, there;0\ryou;1\r", id="line ends of old Macs"),
        pytest.param("text|label\nhello, there|0\nyou|1\n", id="bars"),
        pytest.param('Text,LABEL\n"hello, there",0\nyou,1\n', id="another case of the names"),
        pytest.param('text,label\n"hello, there",No\nyou,YES\n', id="no and yes"),
        pytest.param('text,label\n"hello, there",F\nyou,t\n', id="f and t"),
    ],
)
def test_dialects_of_csv(tmp_path: Path, text: str) -> None:
    data = read(write(tmp_path, text))
    assert (data.texts, data.labels) == (["hello, there", "you"], [0, 1])


def test_lines_are_counted_from_the_one_that_names_the_delimiter(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="line 4: the label 'x'"):
        read(write(tmp_path, "sep=;\ntext;label\na;0\nb;x\n"))
    with pytest.raises(DatasetError, match="line 3: a quotation mark opens a field"):
        read(write(tmp_path, 'sep=;\ntext;label\n"a;0\nb;1\n'))


ROWS = [{"text": "hello", "label": 0}, {"label": 1, "text": "you"}]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("data.json", json.dumps(ROWS), id="an array on one line"),
        pytest.param("data.json", json.dumps(ROWS, indent=1), id="an array"),
        pytest.param("data.jsonl", "".join(f"{json.dumps(row)}\n" for row in ROWS), id="lines"),
        pytest.param("data.txt", "".join(f"{json.dumps(row)}\n" for row in ROWS), id="called txt"),
        pytest.param("data.txt", json.dumps(ROWS, indent=1), id="an array called txt"),
        pytest.param("data", "\n\ufeff".lstrip() + json.dumps(ROWS[0]) + "\r\n"
                     + json.dumps(ROWS[1]), id="without a suffix"),
    ],
)  # fmt: skip
def test_dialects_of_json(tmp_path: Path, name: str, text: str) -> None:
    data = read(write(tmp_path, text, name))
    assert (data.texts, data.labels) == (["hello", "you"], [0, 1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param('[{"text": "a"},\n 5]', "row 2: not a JSON object: 5", id="a number"),
        pytest.param('[{"text": "a"},\n', "line 2: not JSON", id="cut"),
        pytest.param("[]", "is empty", id="nothing"),
        pytest.param("[" * 100_000, "not JSON: nested too deeply", id="deep"),
        pytest.param('{"text":' * 100_000, "line 1: not JSON: nested too deeply", id="deep object"),
        pytest.param(
            '{\n "text": "a"\n}', "line 1: not JSON: an object does not end", id="indented"
        ),
        pytest.param(
            '{"text":"a"}{"text":"b"}', "line 1: not JSON: a second document at", id="one line"
        ),
        pytest.param('{"text":"a"}\n{"text":"b', r"line 2: not JSON: .* \(character 9\)", id="end"),
        pytest.param('[{"text":"a","label":0},{"text":"b"}]', "row 2: the label ''", id="no label"),
        pytest.param('{"text":"a"}\n{"text":"b","label":1}', "line 1: the label ''", id="first"),
    ],
)
def test_what_is_damaged_in_json_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read(write(tmp_path, text, "data.json"))


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 254])
def test_a_column_whose_name_no_policy_can_call_is_no_label(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match="cannot be a label's name"):
        read(write(tmp_path, f'text,"{name}"\na,0\nb,1\n'), label_columns=[name])


@pytest.mark.parametrize("value", ["", " ", "nan", "NA", "null"])
def test_a_missing_label_is_named_by_its_column_with_what_to_do(tmp_path: Path, value: str) -> None:
    path = write(tmp_path, f"text,insult,threat\na,0,1\nb,1,{value}\n")
    expected = (
        f"line 3: the label '{value.strip()}' in the column threat is missing: fill it in, or leave"
    )
    with pytest.raises(DatasetError, match=expected):
        read(path, label_columns=["insult", "threat"])


def test_a_wrong_label_is_named_by_its_column(tmp_path: Path) -> None:
    path = write(tmp_path, "text,insult,threat\na,0,1\nb,maybe,0\n")
    with pytest.raises(DatasetError, match="'maybe' in the column insult is neither"):
        read(path, label_columns=["insult", "threat"])


def test_a_file_without_any_text_says_so(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="none of its 2 rows has a text in the column text"):
        read(write(tmp_path, "text,label\n,0\nNA,1\n"))


ROWS = [{"text": "a", "label": 0}, {"text": "b", "label": 1}]


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"text": ["a", "b"], "label": [0, 1]}, id="Hugging Face, columns"),
        pytest.param({"text": {"0": "a"}, "label": {"0": 1}}, id="pandas, columns"),
        pytest.param({"0": ROWS[0], "1": ROWS[1]}, id="pandas, index"),
        pytest.param({"columns": ["text"], "index": [0], "data": [["a"]]}, id="pandas, split"),
        pytest.param({"schema": {}, "data": ROWS}, id="pandas, table"),
        pytest.param({"rows": ROWS, "num_rows_total": 2, "partial": False}, id="page of rows"),
    ],
)
@pytest.mark.parametrize("name", ["data.json", "data.jsonl"])
def test_one_object_with_all_rows_is_refused_with_what_to_do(
    tmp_path: Path, name: str, document: object
) -> None:
    with pytest.raises(DatasetError, match=r"one object with all rows: .*orient='records'"):
        read(write(tmp_path, json.dumps(document), name))


def test_an_array_of_one_object_is_not_taken_for_a_whole_table(tmp_path: Path) -> None:
    """As Label Studio exports a single task."""
    task = {"id": 1, "data": {"text": "a"}, "annotations": [{"result": []}]}
    with pytest.raises(DatasetError, match=r"has no column .*it has id, data, annotations"):
        read(write(tmp_path, json.dumps([task]), "data.json"))
