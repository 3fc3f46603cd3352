"""Files on the gateway's own disk: the account that works without any provider."""

from __future__ import annotations

from pathlib import Path

from providers.base import Driver, Setting
from providers.exceptions import ProviderConfigurationError
from providers.locations import Location, disk_place
from providers.object_store import ObjectStoreDriver
from providers.objects import Capabilities
from providers.transports.disk import DiskStore


class LocalDriver(ObjectStoreDriver):
    """Keeps files under `<data directory>/files/<directory>`."""

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
        Setting("directory", "Directory", "Where files are kept, relative to the gateway's file directory."),
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
        return self._files / self.text_option("directory")

    def check_configuration(self) -> None:
        """Refuse a directory outside of the gateway's own, also by way of a symbolic link."""
        Driver.check_configuration(self)
        hidden = any(part.startswith(".") for part in Path(self.text_option("directory")).parts)
        if hidden or not self.root.resolve().is_relative_to(self._files.resolve()):
            raise ProviderConfigurationError(
                "'directory' must be a relative path that stays inside of the gateway's file directory.",
                field="directory",
            )

    def location(self) -> Location:
        """The directory, with everything below it."""
        return Location.of([disk_place(str(self.root.resolve()))])

    def open_store(self) -> DiskStore:
        return DiskStore(self.root, chunk_bytes=self.account.environment.chunk_bytes)

    @property
    def _files(self) -> Path:
        return self.account.environment.data_dir / "files"
