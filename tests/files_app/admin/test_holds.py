"""The form that places a legal hold."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from files_app.models import LegalHold
from tests.files_app.admin.conftest import World


@pytest.mark.parametrize("condition", [{"filename": "a\0b"}, {"metadata": "user: 4\0 2"}])
def test_a_condition_that_no_database_holds_is_refused(
    root: Client, own: World, condition: dict[str, str]
) -> None:
    data = {"organization": own.organization.pk, "reason": "case 17", **condition}
    page = root.post(reverse("admin:files_app_legalhold_add"), data)
    (errors,) = page.context["adminform"].form.errors.values()
    assert errors == ["Null characters are not allowed."]
    assert LegalHold.objects.count() == 1  # the world's
