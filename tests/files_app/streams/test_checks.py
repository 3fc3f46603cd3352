"""The checks on an upload's way: decided on one pass, whichever field comes first."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import repeat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from files_app.exceptions import FileTooLargeError, InvalidRequestError
from files_app.streams.checks import UploadChecks, UploadRules
from providers.objects import Capabilities, ExpiresAfterPart, Expiry, FilePart, KiB, PurposePart, UploadPart

LINE = json.dumps({"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": {}}).encode() + b"\n"


def rules(
    *,
    max_file_bytes: int = 1000,
    batch_max_file_bytes: int = 500,
    tokens: int = 100,
    declared: int | None = None,
    max_bytes: int | None = None,
    by_purpose: Mapping[str, int] | None = None,
    purposes: Iterable[str] = ("assistants", "batch", "fine-tune", "user_data"),
) -> UploadRules:
    return UploadRules(
        provider_label="Acme",
        capabilities=Capabilities(
            purposes={purpose: purpose for purpose in purposes},
            max_bytes=max_bytes,
            max_bytes_by_purpose=by_purpose or {},
            extensions={"fine-tune": (".jsonl",)},
        ),
        max_file_bytes=max_file_bytes,
        batch_max_file_bytes=batch_max_file_bytes,
        assistants_max_tokens=tokens,
        declared_bytes=declared,
    )


def parts(
    content: bytes | Iterable[bytes], purpose: str | None, name: str = "a.txt", *, file_first: bool
) -> Iterator[UploadPart]:
    chunks = iter([content] if isinstance(content, bytes) else content)
    file = FilePart(name, "text/plain", chunks)
    if purpose is None:
        yield file
    elif file_first:
        yield from (file, PurposePart(purpose))
    else:
        yield from (PurposePart(purpose), file)


def run(upload: Iterable[UploadPart], under: UploadRules | None = None) -> tuple[UploadChecks, bytes]:
    checks = UploadChecks(under or rules())
    sent = b""
    for part in checks.run(upload):
        if isinstance(part, FilePart):
            sent = b"".join(part.chunks)
    return checks, sent


both_orders = pytest.mark.parametrize("file_first", [True, False])


@settings(deadline=None)
@given(st.lists(st.binary(max_size=50), min_size=1, max_size=12).filter(any), st.booleans())
def test_bytes_pass_unchanged_and_are_measured(chunks: list[bytes], file_first: bool) -> None:
    content = b"".join(chunks)
    checks, sent = run(parts(chunks, "user_data", file_first=file_first))
    assert sent == content
    assert checks.digest.bytes == checks.size == len(content)
    assert checks.digest.sha256 == hashlib.sha256(content).hexdigest()
    assert (checks.filename, checks.purpose, checks.content_type) == ("a.txt", "user_data", "text/plain")


@both_orders
@pytest.mark.parametrize(
    ("purpose", "under", "limit"),
    [
        ("user_data", rules(), 1000),
        ("user_data", rules(max_bytes=300), 300),
        ("user_data", rules(max_bytes=3000), 1000),
        ("user_data", rules(max_bytes=900, by_purpose={"user_data": 200}), 200),
        ("user_data", rules(max_bytes=200, by_purpose={"user_data": 900}), 900),
        ("user_data", rules(by_purpose={"batch": 200}), 1000),
        ("fine-tune", rules(by_purpose={"fine-tune": 700}), 700),
    ],
)
def test_size_limits_are_exact(purpose: str, under: UploadRules, limit: int, file_first: bool) -> None:
    name = "a.jsonl"
    checks, _ = run(parts(b"x" * limit, purpose, name, file_first=file_first), under)
    assert checks.size == limit
    with pytest.raises(FileTooLargeError) as caught:
        run(parts(b"x" * (limit + 1), purpose, name, file_first=file_first), under)
    assert (caught.value.status, caught.value.code, caught.value.param) == (413, "file_too_large", "file")
    assert caught.value.should_retry is False
    assert f"{limit:,}" in caught.value.message


@both_orders
def test_batches_have_a_limit_of_their_own(file_first: bool) -> None:
    pad = LINE.replace(b"{}", b'{"x": "%s"}')
    fits = pad % (b"x" * (500 - len(pad) + 2))
    run(parts(fits, "batch", "a.jsonl", file_first=file_first))
    with pytest.raises(FileTooLargeError, match="purpose 'batch' at Acme"):
        run(parts(fits[:-1] + b" \n", "batch", "a.jsonl", file_first=file_first))


def test_a_file_without_end_is_refused_at_the_limit() -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        for chunk in repeat(b"x" * 100):
            taken += 100
            yield chunk

    with pytest.raises(FileTooLargeError):
        run(parts(endless(), "user_data", file_first=False))
    assert taken == 1100


@both_orders
@pytest.mark.parametrize(
    ("purpose", "name", "content", "param", "words"),
    [
        ("vision", "a.png", b"x", "purpose", "Acme takes no files of purpose 'vision'; it takes: assistants"),
        ("nonsense", "a.png", b"x", "purpose", "'nonsense' is not one of"),
        ("x" * 5000, "a.png", b"x", "purpose", "is not one of"),
        ("", "a.png", b"x", "purpose", "'' is not one of"),
        ("batch", "a.json", LINE, "file", "ends in .jsonl"),
        ("batch", "jsonl", LINE, "file", "ends in .jsonl"),
        ("fine-tune", "a.txt", b"{}", "file", "ends in .jsonl"),
        ("user_data", "a.txt", b"", "file", "empty"),
        ("batch", "a.jsonl", b"{}\n", "file", "line 1: 'custom_id' is missing"),
        ("batch", "a.jsonl", LINE + b"[]", "file", "line 2: is not a JSON object"),
        ("assistants", "a.txt", b"one two three " * 50, "file", "limit for purpose 'assistants' is 100"),
        (None, "a.txt", b"x", "purpose", "has no 'purpose'"),
    ],
)
def test_what_is_refused(
    purpose: str | None, name: str, content: bytes, param: str, words: str, file_first: bool
) -> None:
    with pytest.raises(InvalidRequestError, match=words) as caught:
        run(parts(content, purpose, name, file_first=file_first))
    assert (caught.value.status, caught.value.param) == (400, param)
    assert len(caught.value.message) < 500


def test_a_form_without_a_file_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="no 'file'"):
        run([PurposePart("user_data")])


@both_orders
@pytest.mark.parametrize(
    ("purpose", "name", "content"),
    [
        ("user_data", "a.jsonl", b"not json at all"),
        ("fine-tune", "a.JSONL", b"{}"),
        ("batch", "A.JSONL", LINE),
        ("user_data", "a.txt", b"one two three " * 50),
        ("assistants", "a.bin", b"\xff" + b"one two three " * 50),
    ],
)
def test_a_check_of_another_purpose_refuses_nothing(
    purpose: str, name: str, content: bytes, file_first: bool
) -> None:
    run(parts(content, purpose, name, file_first=file_first))


def test_nothing_is_decided_before_the_purpose_of_a_file_that_came_first() -> None:
    checks = UploadChecks(rules())
    arriving = checks.run(parts(b"{}\n" * 100, "batch", "a.jsonl", file_first=True))
    file = next(arriving)
    assert isinstance(file, FilePart)
    assert b"".join(file.chunks) == b"{}\n" * 100
    with pytest.raises(InvalidRequestError, match="line 20"):
        list(arriving)


def test_a_bad_batch_file_is_refused_before_its_end_when_the_purpose_is_known() -> None:
    def content() -> Iterator[bytes]:
        yield b"{}\n" * 20
        raise AssertionError("read on")

    with pytest.raises(InvalidRequestError, match=r"line 1: .*line 20: "):
        run(parts(content(), "batch", "a.jsonl", file_first=False))


def test_twenty_problems_make_one_message() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        run(parts(b"{}\n" * 25, "batch", "a.jsonl", file_first=True))
    assert caught.value.message.count("'custom_id' is missing") == 20


def test_a_short_file_needs_no_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("files_app.streams.tokens._tokenizer", lambda: pytest.fail("loaded"))
    run(parts(b"short", "assistants", file_first=False), rules(declared=100))


def test_progress_is_told_with_every_chunk() -> None:
    told: list[int] = []
    checks = UploadChecks(rules(), on_bytes=told.append)
    for part in checks.run(parts([b"aa", b"bbb"], "user_data", file_first=False)):
        if isinstance(part, FilePart):
            list(part.chunks)
    assert told == [2, 5]


def test_an_expiry_is_noted() -> None:
    upload = [ExpiresAfterPart(3600), *parts(b"x", "user_data", file_first=True)]
    checks, _ = run(upload)
    assert checks.expires_after_seconds == 3600


@pytest.mark.parametrize(
    ("expiry", "taken", "refused"),
    [
        (Expiry(), (3_600, 2_592_000), (0, 3_599, 2_592_001)),
        (Expiry(native=True, min_seconds=86_400), (86_400, 2_592_000), (86_399,)),
        (Expiry(native=True, max_seconds=7_776_000), (3_600, 7_776_000), (7_776_001,)),
        (Expiry(max_seconds=172_800, default_seconds=172_800), (172_801, 2_592_000), (2_592_001,)),
    ],
)
def test_an_expiry_is_one_that_the_provider_can_give(
    expiry: Expiry, taken: tuple[int, ...], refused: tuple[int, ...]
) -> None:
    under = replace(rules(), capabilities=Capabilities(expiry=expiry))
    for seconds in taken:
        run([ExpiresAfterPart(seconds), *parts(b"x", "user_data", file_first=True)], under)
    for seconds in refused:
        with pytest.raises(InvalidRequestError, match="Acme takes files that expire after") as caught:
            run([ExpiresAfterPart(seconds)], under)
        assert caught.value.param == "expires_after[seconds]"


def test_the_early_limit_is_the_largest_that_may_hold() -> None:
    assert rules(max_file_bytes=64 * KiB).max_bytes(None) == 64 * KiB
    assert rules(max_bytes=10, by_purpose={"batch": 20}).max_bytes(None) == 20
    assert rules(max_bytes=30, by_purpose={"batch": 20}).max_bytes(None) == 30
    assert rules(by_purpose={"batch": 20}).max_bytes(None) == 1000
