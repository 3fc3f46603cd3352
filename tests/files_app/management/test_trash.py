"""`manage.py files restore|purge`."""

from __future__ import annotations

from files_app.models import File
from tests.files_app.cast import Tenant
from tests.files_app.management.shell import failing, good


def test_a_deleted_file_is_restored_and_then_purged(acme: Tenant, stored: str) -> None:
    acme.set_limits(trash_days=7)
    assert "in the trash until" in good("files", "delete", stored, "--yes").out
    assert stored in good("files", "list", "--state", "trashed").out
    assert "would be restored" in good("files", "restore", stored, "--dry-run").out
    assert File.objects.get().state == "trashed"
    assert good("files", "restore", stored, "--json").json == [
        {"id": stored, "ok": True, "detail": "restored"}
    ]
    assert acme.api.get(f"/files/{stored}").status == 200
    assert "is available, not in the trash" in failing("files", "purge", stored, "--yes").out
    good("files", "delete", stored, "--yes")
    assert "--yes" in failing("files", "purge", stored, code=2).err
    assert "deleted for good" in good("files", "purge", stored, "--yes").out
    assert File.objects.get().state == "deleting"
