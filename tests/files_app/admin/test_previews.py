"""Previews: JSON with its structure, separated values as a table, PDFs in a sandbox. All of it stays text."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from files_app.admin.formatted import MAX_LINES, formatted_json, table_of
from files_app.models import AuditEvent
from tests.files_app.admin.conftest import SignIn, World, body_of, store

PDF = b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n%%EOF"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('{"a":1.10,"b":[]}', ["{", '  "a": 1.10,', '  "b": []', "}"]),
        ('[{"a":"x,}y"},2]', ["[", "  {", '    "a": "x,}y"', "  },", "  2", "]"]),
        ('{"a": "cut o', ["{", '  "a": "cut o']),
        ('{"a":1,"a":2}', ["{", '  "a": 1,', '  "a": 2', "}"]),
        ("[]", ["[]"]),
        ("]}]", ["]", "}", "]"]),
    ],
)
def test_json_is_shown_with_its_structure_and_as_it_was_written(text: str, lines: list[str]) -> None:
    assert formatted_json(text) == lines


def test_a_document_that_is_all_brackets_stays_small() -> None:
    lines = formatted_json("[" * 16_384)
    assert len(lines) == MAX_LINES and max(map(len, lines)) < 60


def test_separated_values_become_a_table() -> None:
    table = table_of('a;b\n1;"x\ny"\n2;3', extension=".csv", is_cut=False)
    assert table is not None
    assert (table.head, table.rows, table.is_cut) == (["a", "b"], [["1", "x\ny"], ["2", "3"]], False)
    cut = table_of("a,b\n1,2\n3,", extension=".csv", is_cut=True)
    assert cut is not None and cut.rows == [["1", "2"]] and cut.is_cut
    assert table_of("one column\nonly\n", extension=".csv", is_cut=False) is None
    wide = table_of(",".join("a" * 500), extension=".csv", is_cut=False)
    assert wide is not None and len(wide.head) == 40 and wide.is_cut


def test_what_says_csv_and_is_none_is_shown_as_text(root: Client, own: World) -> None:
    file = store(own.organization, b'a,b\n"' + b"x" * 200_000, filename="broken.csv")
    page = root.post(reverse("admin:files_app_file_preview", args=[file.pk]))
    assert page.status_code == 200 and page.context["preview"].kind in {"text", "table"}


def test_a_pdf_goes_into_a_frame_without_an_origin(root: Client, own: World) -> None:
    file = store(own.organization, PDF, filename="paper.pdf", content_type="text/html")
    page = root.get(reverse("admin:files_app_file_change", args=[file.pk]))
    assert page.headers["Content-Security-Policy"].endswith("frame-src 'self'")
    assert page.headers["X-Frame-Options"] == "DENY"
    assert root.post(reverse("admin:files_app_file_preview", args=[file.pk])).context["preview"].kind == "pdf"
    answer = root.get(reverse("admin:files_app_file_pdf", args=[file.pk]))
    assert body_of(answer) == PDF
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox; frame-ancestors 'self'"
    assert AuditEvent.objects.filter(action="file.content", object_id=file.file_id).count() == 2


def test_what_is_no_pdf_is_not_put_into_the_frame(root: Client, own: World, sign_in: SignIn) -> None:
    address = reverse("admin:files_app_file_pdf", args=[own.file.pk])
    assert root.get(address).status_code == 415
    assert sign_in("Read-only", own.organization).get(address).status_code == 403
