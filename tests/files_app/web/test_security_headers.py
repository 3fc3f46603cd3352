"""The Content-Security-Policy of every answer."""

from __future__ import annotations

import pytest
from django.test import Client

# The end of a request looks at the database's connection, if an earlier test has opened it.
pytestmark = [pytest.mark.urls("tests.files_app.web.urls"), pytest.mark.django_db]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/plain/a", "script-src 'self';"),
        ("/admin/", "script-src 'self' 'unsafe-eval';"),
        ("/own-policy", "sandbox"),
    ],
)
def test_every_answer_has_a_content_security_policy(client: Client, path: str, expected: str) -> None:
    assert expected in client.get(path).headers["Content-Security-Policy"]
