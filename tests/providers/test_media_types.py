"""What a file's type is for its provider."""

from __future__ import annotations

import pytest

from providers.media_types import provider_type


@pytest.mark.parametrize(
    ("given", "filename", "expected"),
    [
        ("text/plain; charset=utf-8", "a.pdf", "text/plain"),
        ("application/octet-stream", "lines.JSONL", "application/jsonl"),
        ("binary/octet-stream", "a.webp", "image/webp"),
        ("", "a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("", "a.unheard", None),
        ("", ".pdf", None),
        ("", "", None),
        # Compressed: it is no tar file before it is unpacked.
        ("", "a.tar.gz", None),
        ("", "data:text/html,a.pdf", "application/pdf"),  # `mimetypes` takes such a name for a URL
    ],
)
def test_a_type_is_guessed_only_where_nobody_says_it(given: str, filename: str, expected: str | None) -> None:
    assert provider_type(given, filename) == expected
