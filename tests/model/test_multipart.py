"""Forms with files: every body is read or refused, in a time linear in its size."""

import json
import time

import pytest

from textmod_model.formats.message import RefusedError
from textmod_model.serving import multipart
from textmod_model.serving.multipart import MOST_PARTS, Part, parts

FORM = "multipart/form-data; boundary=b"


def field(name: str, content: bytes, more: str = "") -> bytes:
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + content + b"\r\n"


@pytest.mark.parametrize(
    "content_type",
    [
        FORM,
        'multipart/form-data; boundary="b"',
        "Multipart/Form-Data;charset=utf-8;Boundary=b",
    ],
)
def test_fields_and_files(content_type: str) -> None:
    body = b"a preamble\r\n" + field("json", b'{"a":\r\n"--c"}') + field("f", b"", '; filename="x"')
    found = list(parts(content_type, body + b"--b--\r\nan epilogue"))
    assert found == [Part("json", b'{"a":\r\n"--c"}', file=False), Part("f", b"", file=True)]


def test_other_headers_and_names_without_quotation_marks() -> None:
    head = b"--b\r\nContent-Type: text/plain\r\ncontent-disposition:form-data;name=json\r\n\r\n{}"
    assert list(parts(FORM, head + b"\r\n--b--")) == [Part("json", b"{}", file=False)]


def test_a_part_without_a_name_is_left_out() -> None:
    assert not list(parts(FORM, b"--b\r\nX-Name: json\r\n\r\n{}\r\n--b--"))
    assert not list(parts("multipart/form-data", field("json", b"{}") + b"--b--"))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(field("json", b"{}")[:-3], "ends without its boundary", id="cut"),
        pytest.param(b"--b\r\nContent-Disposition: form-data", "no end of its headers", id="head"),
        pytest.param(field("a" * 5000, b"{}") + b"--b--", "no end of its headers", id="long head"),
        pytest.param(field("a", b"1") * (MOST_PARTS + 1) + b"--b--", "too many", id="many"),
    ],
)
def test_forms_that_nobody_means_are_refused(body: bytes, message: str) -> None:
    with pytest.raises(RefusedError) as refused:
        list(parts(FORM, body))
    assert message in refused.value.refused.message


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            b'--b\r\nContent-Disposition: form-data; name="' + b'"' * 500_000, id="quotes"
        ),
        pytest.param(b"--b\r\nContent-Disposition: " + b"(" * 500_000, id="brackets"),
        pytest.param(b"--b\r\nContent-Disposition: a" + b"; a=1" * 200_000, id="parameters"),
        pytest.param(b"--b\r\n" * 200_000, id="boundaries"),
        pytest.param(b"\r\n--" * 200_000, id="dashes"),
        pytest.param(
            b"".join(
                b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (at, at + 1)
                for at in range(3_000)
            ),
            id="within each other",
        ),
    ],
)
def test_time_is_linear_whatever_the_body_holds(body: bytes) -> None:
    started = time.process_time()
    with pytest.raises(RefusedError):
        list(parts(FORM, body))
    list(multipart.parts("multipart/form-data; boundary=" + '"' * 60_000, body))
    assert time.process_time() - started < 0.5


def test_a_field_that_is_json_is_found_among_others() -> None:
    body = field("id", b"7") + field("json", json.dumps({"strData": "a"}).encode()) + b"--b--"
    assert [part.name for part in parts(FORM, body)] == ["id", "json"]
