"""The reader of upload forms: the same parts under every chunking, and nothing complete that is not."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from multipart import MultipartParser

from files_app.exceptions import BodyIncompleteError, GatewayError, InvalidRequestError
from files_app.streams.envelope import Envelope
from files_app.streams.form import BodySource, FormReader
from files_app.streams.headers import parse_disposition
from providers.objects import ExpiresAfterPart, FilePart, MiB, PurposePart
from tests.files_app.forms import (
    BOUNDARY,
    Feed,
    Part,
    encode,
    encoded,
    expiry_parts,
    file_part,
    purpose_part,
)

Read = tuple[str, ...] | tuple[str, int] | tuple[str, str, str, bytes]
FORM = encode([purpose_part(), *expiry_parts(), file_part(b"line 1\r\nline 2\r\n--bound")])

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

#: Bytes that come close to a delimiter, in every way.
near_misses = st.sampled_from(
    [b"\r", b"\n", b"\r\n", b"-", b"--", b"\r\n--", b"\0", BOUNDARY.encode(), f"--{BOUNDARY}".encode()]
    + [f"\r\n--{BOUNDARY}".encode()[:n] for n in range(3, 4 + len(BOUNDARY), 5)]
)
contents = (
    st.lists(near_misses | st.binary(max_size=30), max_size=12)
    .map(b"".join)
    .filter(lambda content: f"\r\n--{BOUNDARY}".encode() not in content)
)
sizes = st.lists(st.integers(1, 60), min_size=1, max_size=8)


def expiry_object(seconds: object, **fields: object) -> Part:
    expiry = {"anchor": "created_at", "seconds": seconds, **fields}
    return Part("expires_after", json.dumps(expiry).encode(), content_type="application/json")


def reader(
    pieces: Iterable[bytes] | bytes,
    *,
    chunks: Sequence[int] = (),
    length: int | None = None,
    boundary: str = BOUNDARY,
) -> tuple[FormReader, Feed]:
    feed = Feed(iter([pieces] if isinstance(pieces, bytes) else pieces), chunks)
    return FormReader(BodySource(feed.read, boundary, length)), feed


def read(pieces: Iterable[bytes] | bytes, **kwargs: object) -> list[Read]:
    """Return everything that the reader found, with the file's bytes joined."""
    form, _ = reader(pieces, **kwargs)  # type: ignore[arg-type]  # the keywords of `reader`
    found: list[Read] = []
    for part in form:
        match part:
            case FilePart():
                found.append(("file", part.filename, part.content_type, b"".join(part.chunks)))
            case PurposePart(value):
                found.append(("purpose", value))
            case ExpiresAfterPart(seconds):
                found.append(("expires_after", seconds))
    return found


def outcome(pieces: Iterable[bytes] | bytes, **kwargs: object) -> list[Read] | type[GatewayError]:
    try:
        return read(pieces, **kwargs)
    except GatewayError as exc:
        return type(exc)


@unhurried
@given(st.permutations(range(4)), contents, st.booleans(), sizes)
def test_any_order_of_fields_under_any_chunking(
    order: list[int], content: bytes, has_expiry: bool, chunks: list[int]
) -> None:
    parts = [file_part(content), purpose_part("batch"), *expiry_parts(7200)]
    sent = [parts[n] for n in order if n < 2 or has_expiry]
    found = read(encode(sent), chunks=chunks)
    expected = {("file", "a.txt", "text/plain", content), ("purpose", "batch")}
    assert set(found) == expected | ({("expires_after", 7200)} if has_expiry else set())
    names = ["file" if part.name == "file" else "purpose" for part in sent if "[" not in part.name]
    assert [entry[0] for entry in found if entry[0] != "expires_after"] == names


@pytest.mark.parametrize("chunks", [(), (1,), (7,), (64, 1)])
@pytest.mark.parametrize("declared", [True, False])
def test_a_form_cut_at_any_byte_is_never_complete(chunks: tuple[int, ...], declared: bool) -> None:
    closing = len(FORM) - 2  # the line end behind the closing boundary is not part of it
    for end in range(len(FORM)):
        length = len(FORM) if declared else None
        if end >= closing and not declared:
            assert read(FORM[:end], chunks=chunks) == read(FORM)
        else:
            with pytest.raises(BodyIncompleteError):
                read(FORM[:end], chunks=chunks, length=length)


@pytest.mark.parametrize("chunks", [(), (1,), (5,)])
def test_a_content_length_smaller_than_the_body_cuts_it(chunks: tuple[int, ...]) -> None:
    for length in range(0, len(FORM) - 2, 7):
        form, feed = reader(FORM, chunks=chunks, length=length)
        with pytest.raises(BodyIncompleteError):
            list(form)
        assert feed.taken <= length  # what stands behind belongs to the next request


def test_a_content_length_larger_than_the_body_is_incomplete() -> None:
    with pytest.raises(BodyIncompleteError):
        read(FORM, length=len(FORM) + 1)


@unhurried
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(FORM)),
            st.integers(0, 4),
            st.sampled_from([b"", b"\n", b"\r", b"\r\n", b"-", b'"', b":", b"\0", b"\xff", b"X", b";"]),
        ),
        min_size=1,
        max_size=3,
    ),
    sizes,
)
@example([(20, 0, b"\n")], [1])
@example([(0, 0, b"preamble\r\n")], [1])
def test_what_a_damaged_form_means_does_not_depend_on_its_chunks(
    damage: list[tuple[int, int, bytes]], chunks: list[int]
) -> None:
    body = FORM
    for position, removed, inserted in damage:
        body = body[:position] + inserted + body[position + removed :]
    assert outcome(body) == outcome(body, chunks=chunks)


@pytest.mark.parametrize("epilogue", [b"", b"\r\n", b"\r\nepilogue", b"x" * 60_000])
@pytest.mark.parametrize("chunks", [(), (1_000,), (len(FORM) - 2, 100_000), (len(FORM), 1)])
def test_what_stands_behind_the_closing_boundary_is_ignored(epilogue: bytes, chunks: tuple[int, ...]) -> None:
    body = FORM + epilogue
    assert read(body, chunks=chunks, length=len(body)) == read(FORM)
    assert read(body, chunks=chunks) == read(FORM)


@pytest.mark.parametrize("length", [None, 200 * MiB])
def test_an_epilogue_without_end_is_cut_off(length: int | None) -> None:
    form, feed = reader(_endless(FORM, b"x" * 65_536), length=length)
    with pytest.raises(InvalidRequestError, match="outside of the file"):
        list(form)
    assert feed.taken < MiB


def _endless(head: bytes, piece: bytes) -> Iterator[bytes]:
    yield head
    yield from repeat(piece)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        pytest.param((purpose_part() for _ in repeat(0)), "twice", id="fields"),
        pytest.param((Part(f"f{n}") for n in range(10**6)), "Unknown form field", id="unknown fields"),
        pytest.param([Part("file", headers=("X-A: b",) * 10**6)], "header of a part is over", id="headers"),
        pytest.param(
            [Part("file", headers=("X-A: " + "b" * 10**7,))],
            "header line of a part is over",
            id="one long header",
        ),
        pytest.param([Part("purpose", b"x" * 10**7)], "too long", id="a long field"),
        pytest.param([Part("file", filename="n" * 10**7)], "header line of a part is over", id="a long name"),
    ],
)
def test_a_form_that_is_all_overhead_costs_little(parts: Iterable[Part], words: str) -> None:
    form, feed = reader(encoded(parts))
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequestError, match=words):
            list(form)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert feed.taken < MiB
    assert peak < 64 * MiB  # most of it is the form itself, which this test holds


@pytest.mark.parametrize(
    ("body", "words", "param"),
    [
        (b"", "ended before", None),
        (b"\r\n", "ended before", None),
        (FORM.replace(BOUNDARY.encode(), b"another"), "names is not in it", None),
        (FORM.replace(b"\r\n", b"\n"), "malformed", None),
        (b"preamble" + FORM[:-20], "ended before", None),
        (FORM.replace(b"\r\n", b" x\r\n", 1), "follow a boundary", None),
        (FORM.replace(b"\r\n", b" " * 1025 + b"\r\n", 1), "follow a boundary", None),
        (FORM.replace(b"name=", b"nom=", 1), "malformed", None),
        (FORM.replace(b"form-data", b"attachment", 1), "malformed", None),
        (FORM.replace(b"Content-Disposition", b"Content-Position", 1), "malformed", None),
        (FORM.replace(b"a.txt", b"\xff\xfe", 1), "malformed", None),
        (encode([Part("file", b"x", "a", headers=("no colon",))]), "header line of a part cannot be", None),
        (encode([Part("file", b"x", "a", headers=("X: a\rb",))]), "header line of a part cannot be", None),
        (encode([Part("file", b"x", "a", "a/b", headers=("content-type: c/d",))]), "two headers", None),
        (encode([file_part(), file_part()]), "twice", "file"),
        (encode([purpose_part(), purpose_part("batch")]), "twice", "purpose"),
        (encode([Part("model", b"gpt")]), "Unknown form field 'model'", "model"),
        (encode([Part("m" * 500, b"gpt")]), "Unknown form field", "m" * 64),
        (encode([Part("", b"gpt")]), "Unknown form field", ""),
        (encode([Part("File", b"gpt")]), "Unknown form field", "File"),
        (encode([Part("purpose", b"\xff\xfe")]), "not UTF-8", "purpose"),
        (encode([Part("purpose", b"b" * 8193)]), "too long", "purpose"),
        (encode([expiry_parts()[0]]), "needs both", "expires_after"),
        (encode([expiry_parts()[1]]), "needs both", "expires_after"),
        (encode(expiry_parts("1e4")), "whole number", "expires_after[seconds]"),
        (encode(expiry_parts("-3600")), "whole number", "expires_after[seconds]"),
        (encode(expiry_parts("٣٦٠٠")), "whole number", "expires_after[seconds]"),
        (encode(expiry_parts(anchor="last_active_at")), "created_at", "expires_after[anchor]"),
        (encode([Part("expires_after", b"3600")]), "is a JSON object", "expires_after"),
        (encode([Part("expires_after", b"[" * 8000)]), "is a JSON object", "expires_after"),
        (encode([Part("expires_after", b'{"seconds": 3600}')]), "'anchor' and", "expires_after"),
        (encode([expiry_object(3600, days=1)]), "'anchor' and", "expires_after"),
        (encode([expiry_object(-1)]), "whole number", "expires_after[seconds]"),
        (encode([expiry_object(True)]), "whole number", "expires_after[seconds]"),
        (encode([expiry_object("3600")]), "whole number", "expires_after[seconds]"),
        (encode([expiry_object(3600, anchor="x")]), "created_at", "expires_after[anchor]"),
        (encode([expiry_object(3600), *expiry_parts()]), "twice", "expires_after[anchor]"),
        (encode([*expiry_parts(), expiry_object(3600)]), "twice", "expires_after"),
    ],
)
def test_a_bad_form_is_refused_with_its_reason(body: bytes, words: str, param: str | None) -> None:
    with pytest.raises(InvalidRequestError, match=words) as caught:
        read(body)
    assert (caught.value.status, caught.value.param) == (400, param)
    with pytest.raises(InvalidRequestError):
        read(body, chunks=(1,))


def test_an_expiry_as_one_json_part() -> None:
    """What OpenAPI 3 makes of an object in a form, so what generated clients send."""
    assert read(encode([expiry_object(7200)])) == [("expires_after", 7200)]


@pytest.mark.parametrize("encoding", ["base64", "BASE64", "quoted-printable", "x-gzip"])
def test_a_transfer_encoding_is_refused_and_not_passed_on_undecoded(encoding: str) -> None:
    body = encode([Part("file", b"aGVsbG8=", "a.txt", headers=(f"Content-Transfer-Encoding: {encoding}",))])
    with pytest.raises(InvalidRequestError, match="without transfer encoding"):
        read(body)


@pytest.mark.parametrize("encoding", ["binary", "8bit", "7BIT"])
def test_an_encoding_that_changes_nothing_is_taken(encoding: str) -> None:
    body = encode([Part("file", b"\x00\xff", "a", headers=(f"Content-Transfer-Encoding: {encoding}",))])
    assert read(body) == [("file", "a", "application/octet-stream", b"\x00\xff")]


@pytest.mark.parametrize("chunks", [(), (1,), (7,)])
@pytest.mark.parametrize(
    "body",
    [
        b"This is a message in MIME format.\r\n" + FORM,
        b"--boundary0\r\n\r\n" + FORM,
        b"\r\n" + FORM,
        FORM.replace(f"--{BOUNDARY}\r\n".encode(), f"--{BOUNDARY} \t \r\n".encode()),
        FORM.replace(b"--\r\n", b"-- \t\r\n"),
        FORM.replace(b"Content-Type:", b"Content-Length: 2\r\nX-Foreign: \xff\r\nCONTENT-TYPE :"),
        FORM.replace(b"; filename", b";\r\n\tfilename"),
    ],
)
def test_the_envelope_is_read_as_rfc_2046_says(body: bytes, chunks: tuple[int, ...]) -> None:
    assert read(body, chunks=chunks, length=len(body)) == read(FORM)
    assert read(body, chunks=chunks) == read(FORM)


@pytest.mark.parametrize("length", [None, 200 * MiB])
def test_a_preamble_without_end_is_cut_off(length: int | None) -> None:
    form, feed = reader(_endless(b"x", b"x" * 65_536), length=length)
    with pytest.raises(InvalidRequestError, match="outside of the file"):
        list(form)
    assert feed.taken < MiB


@settings(unhurried, max_examples=30)
@given(st.lists(contents, min_size=1, max_size=4), sizes)
def test_it_reads_what_another_parser_reads(bodies: list[bytes], chunks: list[int]) -> None:
    names = ["purpose", "file", "expires_after[anchor]", "expires_after[seconds]"]
    body = encode(Part(name, content, "n") for name, content in zip(names, bodies, strict=False))
    expected = [(part.name, part.raw) for part in MultipartParser(io.BytesIO(body), BOUNDARY)]
    feed = Feed(iter([body]), chunks)
    envelope = Envelope(feed.read, BOUNDARY, None, chunk_bytes=64, max_overhead_bytes=65_536)
    found = [(parse_disposition(p.headers["content-disposition"]).name, b"".join(p.chunks)) for p in envelope]
    assert found == expected


@pytest.mark.parametrize("content_type", [None, "text/plain", "Text/Plain; charset=utf-8", "multipart/mixed"])
def test_text_in_place_of_a_file_is_refused(content_type: str | None) -> None:
    """A forgotten `@` in curl, `[object Object]`, a path, several files of curl in one part."""
    part = Part("file", b"/home/me/data.jsonl", content_type=content_type)
    with pytest.raises(InvalidRequestError) as caught:
        read(encode([purpose_part(), part]))
    assert (caught.value.status, caught.value.param) == (400, "file")


@pytest.mark.parametrize("content_type", ["application/octet-stream", "image/png", "text/csv"])
def test_a_part_that_says_its_type_needs_no_name(content_type: str) -> None:
    body = encode([Part("file", b"\x00", content_type=content_type)])
    assert read(body) == [("file", "upload", content_type, b"\x00")]


@pytest.mark.parametrize(
    ("disposition", "content"),
    [
        ('form-data; name="file"; name="purpose"', b"batch"),
        ('form-data; name="purpose"; name="file"', b"batch"),
        ('form-data; name="file"; filename*=utf-8\'\'b.txt; filename="a.txt"', b"x"),
        ('form-data; name="file"; filename="a.txt"; filename="b.txt"', b"x"),
        ("form-data; name=\"file\"; filename*=utf-8''..%2Fb.txt", b"x"),
    ],
)
def test_an_ambiguous_part_keeps_its_bytes_or_is_refused(disposition: str, content: bytes) -> None:
    body = encode([Part("", content, disposition=disposition)])
    found = outcome(body)
    assert found == outcome(body, chunks=(1,))
    if isinstance(found, list):
        (entry,) = found
        assert entry[-1] in {content, content.decode()}
        assert "/" not in str(entry[1])


def test_a_form_inside_of_the_file_is_only_bytes() -> None:
    inner = encode([purpose_part("batch"), file_part(b"inner")], boundary="inner")
    assert read(encode([file_part(inner), purpose_part("vision")])) == [
        ("file", "a.txt", "text/plain", inner),
        ("purpose", "vision"),
    ]


def test_the_beginning_of_a_file_waits_for_no_whole_chunk() -> None:
    form, feed = reader(encode([purpose_part(), file_part(bytes(MiB))]))
    for part in form:
        if isinstance(part, FilePart):
            first = next(part.chunks)
            assert 0 < len(first) < feed.taken <= 16_384
            assert len(next(part.chunks)) >= 262_144


def test_an_unread_file_does_not_shift_what_follows() -> None:
    form, _ = reader(encode([file_part(b"x" * 500_000), purpose_part()]), chunks=(1000,))
    assert [type(part) for part in form] == [FilePart, PurposePart]


@unhurried
@given(st.binary(max_size=300), st.booleans())
def test_garbage_is_refused_as_such(garbage: bytes, has_boundary: bool) -> None:
    body = (f"--{BOUNDARY}\r\n".encode() if has_boundary else b"") + garbage
    found = outcome(body)
    assert not isinstance(found, list)
    assert issubclass(found, InvalidRequestError)
