"""What staff may see."""

from __future__ import annotations

from django.contrib.auth.models import User

from files_app.services.tenants.staff import reach_of


def test_an_inactive_user_sees_nothing(db: None) -> None:
    user = User.objects.create_superuser("gone")
    user.is_active = False
    assert reach_of(user).organization_ids == frozenset()
