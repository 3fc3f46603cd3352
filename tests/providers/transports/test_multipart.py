"""Forms that a strict parser reads back as they were meant."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multipart import MultipartSegment, PushMultipartParser

from providers.objects import FilePart
from providers.transports.multipart import FormField, FormFile, FormPart, MultipartForm

Read = list[tuple[str, str | None, str | None, bytes]]

TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters='"\r\n\x00\\'), min_size=1, max_size=60
)


def parse(form: bytes, boundary: str) -> Read:
    """Return (name, filename, content type, bytes) of each part; raises unless the form is complete."""
    read: Read = []
    with PushMultipartParser(boundary, strict=True) as parser:
        for event in (*parser.parse(form), *parser.parse(b"")):
            if isinstance(event, MultipartSegment):
                read.append((event.name, event.filename, event.header("Content-Type"), b""))
            elif event:
                *head, body = read[-1]
                read[-1] = (*head, body + bytes(event))  # type: ignore[assignment]  # the same four
    return read


def file(
    filename: str = "a.jsonl", chunks: tuple[bytes, ...] = (b"abc",), length: int | None = None
) -> FormFile:
    return FormFile("file", FilePart(filename, "application/jsonl", iter(chunks), length))


@given(
    name=TEXT,
    value=st.text(st.characters(exclude_categories=["Cs"])),
    chunks=st.lists(st.binary(max_size=50)),
)
def test_what_goes_in_comes_out(name: str, value: str, chunks: list[bytes]) -> None:
    parts: list[FormPart] = [FormField("purpose", value), file(name, tuple(chunks)), FormField("b[c]", "d")]
    form = MultipartForm(parts)
    assert parse(b"".join(form), form.boundary) == [
        ("purpose", None, None, value.encode()),
        ("file", name, "application/jsonl", b"".join(chunks)),
        ("b[c]", None, None, b"d"),
    ]


def test_a_charset_is_left_out_of_the_type() -> None:
    form = MultipartForm([FormFile("file", FilePart("a", "text/plain; charset=utf-8", iter([b"x"])))])
    assert parse(b"".join(form), form.boundary) == [("file", "a", "text/plain", b"x")]


@pytest.mark.parametrize(
    ("filename", "sent"),
    [
        ('say "hi".txt', "say %22hi%22.txt"),
        ("a\r\nContent-Type: text/html\r\n\r\n<b>", "a%0D%0AContent-Type: text/html%0D%0A%0D%0A<b>"),
        ("日本語 📎.txt", "日本語 📎.txt"),
        ("\u202egpj.exe", "\u202egpj.exe"),
    ],
)
def test_a_name_is_sent_as_openais_sdk_sends_it(filename: str, sent: str) -> None:
    form = MultipartForm([file(filename)])
    (head,) = [line for line in b"".join(form).split(b"\r\n") if b"filename" in line]
    assert head == f'Content-Disposition: form-data; name="file"; filename="{sent}"'.encode()


def test_the_boundary_cannot_be_guessed() -> None:
    boundaries = {MultipartForm([]).boundary for _ in range(100)}
    assert len(boundaries) == 100
    assert all(len(each) >= 40 for each in boundaries)


def test_small_parts_travel_with_what_follows() -> None:
    form = MultipartForm([FormField("purpose", "batch"), file(chunks=(b"abc", b"def"))])
    pieces = list(form)
    assert pieces[1:3] == [b"abc", b"def"]
    assert len(pieces) == 4


def test_an_empty_file_is_still_a_file() -> None:
    form = MultipartForm([file(chunks=())])
    assert parse(b"".join(form), form.boundary) == [("file", "a.jsonl", "application/jsonl", b"")]


@given(st.lists(st.tuples(TEXT, st.text(st.characters(exclude_categories=["Cs"]))), max_size=4), st.binary())
def test_the_length_is_what_is_sent(fields: list[tuple[str, str]], content: bytes) -> None:
    texts = [FormField(name, value) for name, value in fields]
    part = file("ö.bin", (content,), len(content))
    form = MultipartForm([*texts, part])
    assert form.length(texts, part) == len(b"".join(form))


def test_an_unknown_length_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="length"):
        MultipartForm([]).length([], file())


def test_no_form_is_complete_before_its_parts_are() -> None:
    def parts() -> Iterator[FormPart]:
        yield FormField("purpose", "batch")
        yield file()
        raise ConnectionError("the check failed")

    form = MultipartForm(parts())
    sent: list[bytes] = []
    with pytest.raises(ConnectionError):
        sent.extend(form)
    assert sent
    assert form.boundary.encode() + b"--" not in b"".join(sent)
