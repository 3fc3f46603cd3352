"""File names of strangers: shown and stored, never trusted."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from files_app.filenames import DEFAULT_FILENAME, attachment, clean_filename, extension_of

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
pieces = st.sampled_from(
    ["a", "é", "🎉", " ", ".", "..", ".txt", "x" * 120, " " * 9, *"\0\r\t\x7f\x85\u2028\u202e\ud800"]
)
nasty = st.tuples(
    st.sampled_from(["", "/", "../", "C:\\", "a/b\\"]),
    st.lists(pieces | st.characters(), max_size=12).map("".join),
).map("".join)


@given(nasty)
def test_every_name_becomes_one_that_can_be_stored_and_shown(name: str) -> None:
    clean = clean_filename(name)
    assert 1 <= len(clean) <= 255
    assert clean == clean.strip()
    assert clean not in {".", ".."}
    assert not set(clean) & set("/\\" + BIDI)
    assert not any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in clean)
    assert clean.encode().decode() == clean


@given(nasty)
def test_cleaning_twice_changes_nothing(name: str) -> None:
    assert clean_filename(clean_filename(name)) == clean_filename(name)


@given(st.from_regex(r"[A-Za-z0-9äöü][A-Za-z0-9 äöü_-]{0,40}\.[a-z]{1,8}", fullmatch=True))
def test_an_ordinary_name_stays_as_it_is(name: str) -> None:
    assert clean_filename(name) == name


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\x.pdf", "x.pdf"),
        ("a/b\\c", "c"),
        ("dir/", DEFAULT_FILENAME),
        ("", DEFAULT_FILENAME),
        (".", DEFAULT_FILENAME),
        ("..", DEFAULT_FILENAME),
        (" \t\r\n\0", DEFAULT_FILENAME),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("a\r\nSet-Cookie: x=1.txt", "aSet-Cookie: x=1.txt"),
        ("a\0b.txt", "ab.txt"),
        ("\ud800.txt", ".txt"),
        ('a";x="b.txt', 'a";x="b.txt'),
        ("🎉" * 300 + ".jsonl", "🎉" * 249 + ".jsonl"),
        ("n" * 5000, "n" * 255),
        ("n." + "x" * 5000, "n." + "x" * 253),
        ("<img src=x onerror=alert(1)>.svg", "<img src=x onerror=alert(1)>.svg"),
    ],
)
def test_names(name: str, clean: str) -> None:
    assert clean_filename(name) == clean


@pytest.mark.parametrize(
    ("name", "extension"),
    [("a.JSONL", ".jsonl"), ("a.tar.gz", ".gz"), ("noext", ""), (".jsonl", ""), ("a.", "."), ("", "")],
)
def test_extensions(name: str, extension: str) -> None:
    assert extension_of(name) == extension


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a b.txt", 'attachment; filename="a b.txt"'),
        ("测试.jsonl", "attachment; filename=\"__.jsonl\"; filename*=utf-8''%E6%B5%8B%E8%AF%95.jsonl"),
        ("märz.txt", "attachment; filename=\"marz.txt\"; filename*=utf-8''m%C3%A4rz.txt"),
        ('a"b\\c.txt', "attachment; filename=\"a_b_c.txt\"; filename*=utf-8''a%22b%5Cc.txt"),
        ("50%20off", "attachment; filename=\"50_20off\"; filename*=utf-8''50%2520off"),
        ("a\r\nb: c", "attachment; filename=\"a__b: c\"; filename*=utf-8''a%0D%0Ab%3A%20c"),
    ],
)
def test_a_download_is_named_for_old_clients_and_new_ones(name: str, header: str) -> None:
    assert attachment(name) == header
