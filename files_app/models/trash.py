"""The trash as a list of its own."""

from __future__ import annotations

from typing import ClassVar

from files_app.models.files import File


class TrashedFile(File):
    """A file as the admin's trash page lists it. Who may do what there, the rights on files say."""

    class Meta:
        proxy = True
        default_permissions = ()
        permissions: ClassVar = []
        verbose_name_plural = "trash"
