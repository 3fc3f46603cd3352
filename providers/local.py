"""Files on the gateway's own disk: the account that works without any provider.

    <data directory>/files/<the account's own folder>/<directory>/<key>

The gateway chooses the account's own folder, so that no directory leads to the files of another account.
Accounts from before there were such folders keep `files/<directory>`. Others can have the same directory, or
one above or below it: so what such an account sees are the uploads directly in its organization's folder, and
nothing else. Two organizations' folders have different names, wherever they are.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from providers.base import Driver, Setting
from providers.exceptions import ProviderConfigurationError
from providers.locations import Location, disk_place
from providers.object_store import ObjectStoreDriver
from providers.objects import Capabilities
from providers.transports.disk import DiskStore, is_tree_name

_DIRECTORY: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


class LocalDriver(ObjectStoreDriver):
    """Keeps files in the account's own folder."""

    name = "local"
    label = "Local disk"
    capabilities = Capabilities(
        storage="disk",
        mode="object store",
        paging="token",
        ranges=True,
        source="https://docs.python.org/3/library/os.html",
        checked="2026-11-23",
    )
    options = (
        Setting(
            "directory", "Directory", "One name: where files are kept inside of the account's own folder."
        ),
    )

    endpoint_url = None

    @property
    def buckets(self) -> tuple[str, ...]:
        """A disk has no buckets."""
        return ("",)

    @property
    def prefix(self) -> str:
        """Keys start at the account's directory."""
        return ""

    @property
    def root(self) -> Path:
        return self._files / self.account.disk_segment / self.text_option("directory")

    def check_configuration(self) -> None:
        """Refuse a directory that leads out of the account's own folder, also by way of a symbolic link."""
        Driver.check_configuration(self)
        if self.account.disk_segment:
            self._check_own_folder()
        else:
            self._check_old_directory()

    def _check_own_folder(self) -> None:
        directory = self.text_option("directory")
        if directory and not _DIRECTORY.fullmatch(directory):
            raise _refused(
                "must be one name of at most 64 letters, digits, '.', '_' and '-' that begins with no dot."
            )
        if self.root.resolve() != self._files.resolve() / self.account.disk_segment / directory:
            raise _refused("must not be or lie behind a symbolic link.")

    def _check_old_directory(self) -> None:
        parts = Path(self.text_option("directory")).parts
        root, files = self.root.resolve(), self._files.resolve()
        is_inside = root.is_relative_to(files) and not any(part.startswith(".") for part in parts)
        if not is_inside or any(is_tree_name(part) for part in root.relative_to(files).parts):
            raise _refused(
                "must be a relative path that stays inside of the gateway's file directory, and outside of "
                "the folders of other accounts."
            )

    def location(self) -> Location:
        """The directory, with everything below it."""
        return Location.of([disk_place(str(self.root.resolve()))])

    def open_store(self) -> DiskStore:
        return DiskStore(self.root, chunk_bytes=self.account.environment.chunk_bytes, sees=self._sees)

    def _sees(self, key: str) -> bool:
        """Whether a key can be this account's, when others may have the same directory."""
        if self.account.disk_segment:
            return True
        folder = key.partition("/")[0]
        is_theirs = folder != self.account.namespace if self.account.namespace else is_tree_name(folder)
        return self._key_is_own(key) and not is_theirs

    @property
    def _files(self) -> Path:
        return self.account.environment.data_dir / "files"


def _refused(reason: str) -> ProviderConfigurationError:
    return ProviderConfigurationError(f"'directory' {reason}", field="directory")
