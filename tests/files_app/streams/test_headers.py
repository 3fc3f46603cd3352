"""Header fields of forms as the field's clients write them, byte by byte."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from files_app.exceptions import InvalidRequestError
from files_app.streams.headers import (
    Disposition,
    MalformedFormError,
    MediaType,
    boundary_of,
    parse_disposition,
    parse_media_type,
)

CHINESE = "%E6%B5%8B%E8%AF%95.jsonl"
WORD = "=?utf-8?B?5rWL6K+VLmpzb25s?="


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ('filename=""', ""),
        ("filename=plain.txt", "plain.txt"),
        ("filename=with space.txt ", "with space.txt"),
        ('filename="März 🎉.jsonl"', "März 🎉.jsonl"),
        ('filename="a%22b.txt"', 'a"b.txt'),  # browsers, OpenAI's SDKs
        ('filename="a\\"b.txt"', 'a"b.txt'),  # Go, curl before 7.81
        ('filename="a\\"b\\\\c.txt"', 'a"b\\c.txt'),
        ('filename="C:\\dir\\x.txt"', "C:\\dir\\x.txt"),
        ('filename="50%20off.txt"', "50%20off.txt"),
        ('filename="a;b=c.txt"', "a;b=c.txt"),
        ('filename="quo"te.jsonl"', 'quo"te.jsonl'),  # aiohttp and others leave it as it is
        ('filename="a"; x="b.txt"', 'a"; x="b.txt'),
        ('filename="quo"te.txt"; size=5', 'quo"te.txt'),
        ('filename="a"b"; filename*=utf-8\'\'c.txt', "c.txt"),
        ('filename="a.txt"; foreign=x', "a.txt"),
        ('FileName="a.txt" ;', "a.txt"),
        (f"filename=\"{WORD}\"; filename*=utf-8''{CHINESE}", "测试.jsonl"),  # .NET, Spring
        (f"filename*=utf-8''{CHINESE}", "测试.jsonl"),  # urllib3 before 1.25
        (f"filename*=\"UTF-8'zh'{CHINESE}\"", "测试.jsonl"),
        (f"filename*=utf-8''{CHINESE}; filename=\"upload.jsonl\"", "测试.jsonl"),
        ("filename*=iso-8859-1'en'%A3.txt", "£.txt"),
        ("filename*=utf-8''%FF.txt; filename=\"a.txt\"", "a.txt"),
        ("filename*=utf-7''a.txt; filename=\"b.txt\"", "b.txt"),
        ("filename*=utf-8''100%.txt; filename=\"b.txt\"", "b.txt"),
        ("filename*=nonsense", ""),
        (f'filename="{WORD}"', "测试.jsonl"),
        ("filename==?utf-8?Q?M=C3=A4rz_1.txt?=", "März 1.txt"),
        ('filename="=?utf-8?B?5rWL?= =?utf-8?B?6K+VLmpzb25s?="', "测试.jsonl"),
        ('filename="=?iso-8859-1?q?=A3?="', "£"),
        ('filename="=?nonsense?B?5rWL?="', "=?nonsense?B?5rWL?="),
        ('filename="=?utf-8?B?/w==?="', "=?utf-8?B?/w==?="),
        ('filename="a =?utf-8?B?5rWL?= b"', "a =?utf-8?B?5rWL?= b"),
    ],
)
def test_file_names(parameters: str, name: str) -> None:
    assert parse_disposition(f'form-data; name="file"; {parameters}') == Disposition("file", name)
    assert parse_disposition(f"form-data;name=file;{parameters}") == Disposition("file", name)


def test_a_part_that_names_no_file() -> None:
    assert parse_disposition('Form-Data; name="a\\"b%22"') == Disposition('a"b%22', None)
    assert parse_disposition('form-data; filename="x.txt"; name="file"') == Disposition("file", "x.txt")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "attachment; name=file",
        'form-data; filename="a"',
        'form-data; name="file" filename="a"',
        'form-data; name="file',
        'form-data; name="file"; name="purpose"',
        'form-data; name="file"; filename=a"b',
        "form-data; name=file; filename*=utf-8''a; filename*=utf-8''b",
    ],
)
def test_a_disposition_that_can_be_read_in_two_ways_is_refused(header: str) -> None:
    with pytest.raises(MalformedFormError):
        parse_disposition(header)


@settings(deadline=None)
@given(st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8"), min_size=1, max_size=60))
def test_a_name_in_quotes_is_what_browsers_mean(name: str) -> None:
    escaped = name.replace('"', "%22")
    found = parse_disposition(f'form-data; name="file"; filename="{escaped}"').filename
    if "%" not in name and "=?" not in name and name.strip() == name:
        assert found == name


@pytest.mark.parametrize("unit", ['"', '";name=', '" ', '\\"', ";", "=?utf-8?q?a", '"; filename=', "%", " "])
def test_no_header_takes_long(unit: str) -> None:
    """A pattern that goes back over what it has read would not end within the test's time limit."""
    for start in (
        'form-data; name="file"; filename="',
        "form-data; name=",
        "form-data; name=a; filename*=utf-8''",
    ):
        with contextlib.suppress(MalformedFormError):
            parse_disposition(start + unit * (8192 // len(unit)) + "x")


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        ("text/plain; charset=utf-8", MediaType("text/plain", "utf-8")),
        ('Text/CSV;header=present; CharSet="UTF-8"', MediaType("text/csv", "utf-8")),
        ("text/plain; charset=ISO-8859-1", MediaType("text/plain", "iso-8859-1")),
        ("text/plain; charset=utf-7", MediaType("text/plain")),
        ("APPLICATION/PDF", MediaType("application/pdf")),
        ("text/html\tx", MediaType("application/octet-stream")),
        ("nonsense", MediaType("application/octet-stream")),
        ("", MediaType("application/octet-stream")),
        ("a/" + "b" * 200, MediaType("application/octet-stream")),
    ],
)
def test_content_types(header: str, kept: MediaType) -> None:
    assert parse_media_type(header) == kept


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", "abc"),
        ('multipart/form-data; boundary="a b c"', "a b c"),
        ("Multipart/Form-Data; charset=utf-8; boundary=----WebKitFormBoundaryX", "----WebKitFormBoundaryX"),
        ("multipart/form-data; boundary=" + "b" * 70, "b" * 70),
        ('multipart/form-data; boundary="\'()+_,-./:=?"', "'()+_,-./:=?"),
        ("multipart/form-data; boundary====abc==", "===abc=="),
        ("multipart/form-data; boundary=a:b/c?(d),e ; charset=utf-8", "a:b/c?(d),e"),
    ],
)
def test_boundaries(content_type: str, boundary: str) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/json",
        "multipart/mixed; boundary=abc",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=" + "b" * 71,
        'multipart/form-data; boundary="ends in space "',
        'multipart/form-data; boundary="a\nb"',
        "multipart/form-data; boundary=a b",
        "multipart/form-data; boundary=a; boundary=b",
        "multipart/form-data; boundary=ä",
        'multipart/form-data; boundary="a@b"',
        "x" * 10**6,
    ],
)
def test_a_content_type_without_a_usable_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        boundary_of(content_type)
    assert caught.value.param == "Content-Type"


@settings(deadline=None)
@given(st.text(max_size=200))
def test_no_content_type_breaks_the_reader(text: str) -> None:
    for content_type in (text, f"multipart/form-data; boundary={text}", f'multipart/form-data; {text}="x'):
        with contextlib.suppress(InvalidRequestError):
            assert 1 <= len(boundary_of(content_type)) <= 70
