"""The driver interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

from providers.batches.json_lines import LineLimits
from providers.batches.rendering import BatchRenderer
from providers.disclosure import Disclosure
from providers.exceptions import ProviderConfigurationError, ProviderError, UnsupportedOperationError
from providers.locations import Location
from providers.objects import (
    ByteRange,
    Capabilities,
    Download,
    JSONObject,
    Operation,
    RemoteFile,
    RemotePage,
    Upload,
)
from providers.parsing import origin
from providers.results import JobResults
from providers.transports.addresses import BlockedAddressError, check_url
from providers.transports.http import HTTPTransport, TransportLimits


@dataclass(frozen=True, slots=True)
class Setting:
    """One option or credential of a driver, as the admin form and `manage.py apply` know it.

    rare: for peculiar servers alone; a form folds it away.
    """

    name: str
    label: str
    help: str = ""
    kind: Literal["string", "url", "integer", "boolean", "list", "mapping", "text"] = "string"
    required: bool = False
    secret: bool = False
    default: object = None
    choices: tuple[str, ...] = ()
    rare: bool = False


@dataclass(frozen=True, slots=True)
class Environment:
    """What the process gives to every driver."""

    limits: TransportLimits = field(default_factory=TransportLimits)
    data_dir: Path = Path("var")
    chunk_bytes: int = 262_144


#: Takes the driver's name and the operation.
Meter: TypeAlias = Callable[[str, Operation], AbstractContextManager[None]]


def unmetered(driver: str, operation: Operation) -> AbstractContextManager[None]:
    """Measure nothing."""
    return nullcontext()


@dataclass(frozen=True, slots=True)
class AccountConfig:
    """A provider account as a driver sees it: resolved options and credentials. Its repr shows no secret.

    is_operators: who runs the gateway answers for the account, so that the platform's own credentials may
    serve it.
    meter: is entered around each operation, whose errors pass through it; of a download around its opening.
    stream_meter: the same around a download's bytes, for as long as somebody reads them.
    disk_segment: the account's own folder on disk; empty for one from before there were such folders.
    namespace: the segment of its organization's keys; empty where all organizations share the account.
    """

    name: str
    options: Mapping[str, object] = field(default_factory=dict, repr=False)
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    environment: Environment = field(default_factory=Environment)
    transport: HTTPTransport | None = field(default=None, repr=False)
    meter: Meter = field(default=unmetered, repr=False)
    stream_meter: Meter = field(default=unmetered, repr=False)
    disk_segment: str = ""
    namespace: str = ""
    is_operators: bool = True


@dataclass(frozen=True, slots=True)
class CheckStep:
    """One step of a connection test: what was tried, whether it worked, what to do if not."""

    name: str
    ok: bool
    seconds: float
    detail: str = ""


class Driver(ABC):
    """Speaks to one provider for one account.

    Subclasses declare `capabilities` and the settings they take, and implement the underscored operations
    that they declare. The public ones are the only door: they refuse what is not declared before any request
    is made, meter the rest, and write on errors where they are from.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    capabilities: Capabilities
    options: ClassVar[tuple[Setting, ...]] = ()
    credentials: ClassVar[tuple[Setting, ...]] = ()

    def __init__(self, account: AccountConfig) -> None:
        self.account = account
        self._known_disclosure: tuple[object, Disclosure] | None = None
        self.check_configuration()

    def create_file(self, upload: Upload) -> RemoteFile:
        """Send the upload's bytes as they arrive and return what the provider made of them.

        Raises ProviderError; and whatever the upload's own iterator raises, after having aborted at the
        provider.
        """
        with self._door(Operation.CREATE):
            return self._disclosure().cleaned_file(self._create_file(upload))

    def list_files(self, *, cursor: str | None = None) -> RemotePage:
        """Return one page of the files that the provider holds; pass `next_cursor` back for the next."""
        with self._door(Operation.LIST):
            page = self._list_files(cursor)
            return replace(page, files=tuple(map(self._disclosure().cleaned_file, page.files)))

    def retrieve_file(self, remote_id: str) -> RemoteFile:
        """Return the provider's description of one file. Raises RemoteFileNotFoundError."""
        with self._door(Operation.RETRIEVE):
            return self._disclosure().cleaned_file(self._retrieve_file(remote_id))

    def download_file(self, remote_id: str, *, byte_range: ByteRange | None = None) -> Download:
        """Open a file's bytes; the provider has answered with success when this returns.

        A range is honoured only where `capabilities.ranges` says so; otherwise the whole file comes.
        """
        with self._door(Operation.CONTENT):
            download = self._download_file(remote_id, byte_range)
        return replace(download, chunks=self._stamped_chunks(download.chunks))

    def delete_file(self, remote_id: str) -> None:
        """Delete one file. Raises RemoteFileNotFoundError when it is gone already."""
        with self._door(Operation.DELETE):
            self._delete_file(remote_id)

    # -- what only an object store can do ------------------------------------------------------------------

    @property
    def names_files(self) -> bool:
        """Whether the gateway chooses the ids of the files and keeps them in their remote ids."""
        return self.capabilities.storage != "provider"

    @property
    def root(self) -> Path:
        """Where on this host the account's files are, of a driver whose storage is the disk."""
        raise AssertionError(f"{self.label} keeps no files on this host")

    def file_id_of(self, remote_id: str) -> str | None:
        """Return the file id in a remote id, None for an object that the gateway did not name.

        A provider's own id is the file's id as it stands.
        """
        return remote_id

    def namespace_of(self, remote_id: str) -> str | None:
        """Return the organization's segment in a remote id, None where there is none."""
        return None

    def deletes_at(self, remote: RemoteFile, *, created_at: datetime) -> datetime | None:
        """Return when the provider deletes a file by itself: as it says, else as it is known to; or None."""
        unasked = self.capabilities.expiry.default_seconds
        known = None if unasked is None else created_at + timedelta(seconds=unasked)
        return remote.expires_at or known

    def check_bucket(self, bucket: str | None) -> None:  # noqa: B027  # most have none
        """Refuse a bucket that no upload may name, where files are in buckets. Raises FileRejectedError."""

    @property
    def batch_formats(self) -> tuple[str, ...]:
        """Return the forms that OpenAI's batch lines are rendered into, by the account's options."""
        return ()

    def batch_renderer(self, *, model: str | None, limits: LineLimits) -> BatchRenderer | None:
        """Return what renders batch files for the provider's jobs; None where those read the files.

        model: named by the request, instead of in the lines. limits: the service's, of a file's lines.
        """
        return None

    @property
    def results(self) -> JobResults | None:
        """What batch jobs write into the account's store; None where they write into none."""
        return None

    def render_file(self, remote_id: str, upload: Upload) -> JSONObject | None:
        """Write the rendition of a stored file, in place of one that is there, and return its `batch` member.

        upload: the file once more, as its provider gives it back. None where the provider's jobs read files.
        Raises ProviderError, and what the upload's own iterator raises: then no rendition was written.
        """
        with self._door(Operation.CREATE):
            return self._render_file(remote_id, upload)

    def is_rendered(self, remote_id: str) -> bool:
        """Whether there is a rendition of a stored file."""
        with self._door(Operation.RETRIEVE):
            return self._is_rendered(remote_id)

    def find_file(self, *, namespace: str, file_id: str) -> RemoteFile | None:
        """Look for an upload whose answer was lost; None when there is nothing under this id.

        Raises UnsupportedOperationError where the gateway does not choose the ids.
        """
        with self._door(Operation.LIST):
            found = self._find_file(namespace, file_id)
            return found and self._disclosure().cleaned_file(found)

    def missing_features(self, remote_id: str) -> tuple[str, ...]:
        """Return what the account's store lacks of what the gateway uses, and what follows from that.

        It is tried on a file made for that, whose bytes and details are lost. Raises ProviderError.
        """
        with self._door(Operation.CREATE):
            return self._missing_features(remote_id)

    def sweep_stray(self, older_than: timedelta) -> int:
        """Remove what uploads that died left half written; return how many there were."""
        if not self.names_files:
            return 0
        with self._door(Operation.DELETE):
            return self._sweep_stray(older_than)

    # -- what is the same for all --------------------------------------------------------------------------

    @contextmanager
    def _door(self, operation: Operation) -> Iterator[None]:
        """Let an operation through that the provider has, and meter it."""
        self.require(operation)
        with self.account.meter(self.name, operation), self._stamped(operation):
            yield

    @contextmanager
    def _stamped(self, operation: Operation) -> Iterator[None]:
        """Write on an error which account and operation it came from, and strike out what is secret."""
        try:
            yield
        except ProviderError as exc:
            if not exc.provider:  # else an upload pulls from another account, whose door wrote its name
                exc.provider, exc.operation = self.account.name, operation
            self._disclosure().clean_error(exc)
            raise

    def _stamped_chunks(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        operation = Operation.CONTENT
        with self.account.stream_meter(self.name, operation), self._stamped(operation):
            yield from chunks

    def _disclosure(self) -> Disclosure:
        """Return what strikes out the secrets of now; it is made anew when one is added."""
        secrets = tuple(self.secrets()), tuple(self.sent_values())
        known = self._known_disclosure
        if known is None or known[0] != secrets:
            known = self._known_disclosure = secrets, Disclosure(*secrets)
        return known[1]

    def secrets(self) -> Iterator[str]:
        """Yield what no text from the provider may show, wherever it stands."""
        for setting in self.credentials:
            if setting.secret:
                yield self.account.credentials.get(setting.name, "")

    def sent_values(self) -> Iterator[str]:
        """Yield what else is sent to prove who we are: no words from the provider may show it."""
        yield from self.account.credentials.values()

    def require(self, operation: Operation) -> None:
        """Raise UnsupportedOperationError unless the provider has `operation`."""
        with self._stamped(operation):
            if operation not in self.capabilities.operations:
                raise self.unsupported(operation)

    def unsupported(
        self, operation: Operation, *, request_id: str | None = None
    ) -> UnsupportedOperationError:
        """Return the error for what the provider cannot do, with what is possible instead."""
        reason = self.capabilities.missing_reasons.get(operation, "")
        return UnsupportedOperationError(
            f"{self.label} has no operation to {_OPERATION_WORDS[operation]}."
            + (f" {reason}" if reason else ""),
            code="unsupported_operation",
            request_id=request_id,
        )

    def check_configuration(self) -> None:
        """Raise ProviderConfigurationError when an option or credential is missing or unknown."""
        for given, declared, what in (
            (self.account.options, self.options, "option"),
            (self.account.credentials, self.credentials, "credential"),
        ):
            known = {setting.name for setting in declared}
            for name in given:
                if name not in known:
                    takes = ", ".join(sorted(known)) or "none"
                    raise ProviderConfigurationError(
                        f"{self.name} takes no {what} '{name}'; it takes: {takes}.", field=name
                    )
            for setting in declared:
                if setting.required and given.get(setting.name) in (None, ""):
                    raise ProviderConfigurationError(
                        f"{self.name} needs the {what} '{setting.name}'.", field=setting.name
                    )

    def endpoints(self) -> Mapping[str, str]:
        """Return the URLs to which requests go, by the option or credential that says so."""
        urls = {each.name: self.text_option(each.name) for each in self.options if each.kind == "url"}
        return {name: url for name, url in urls.items() if url}

    def origins(self) -> frozenset[str]:
        """Return where the credentials go: origins of URLs, and what else tells one recipient from another.

        Credentials that were given for some origins are good for these and no others.
        """
        return frozenset(map(origin, self.endpoints().values()))

    def check_endpoints(self) -> None:
        """Raise ProviderConfigurationError for an endpoint that no connection may reach.

        It asks what names lead to now. Each connection checks that again.
        """
        allow_private = self.account.environment.limits.allow_private
        for name, url in self.endpoints().items():
            try:
                check_url(url, allow_private=allow_private)
            except BlockedAddressError as exc:
                raise ProviderConfigurationError(f"'{name}': {exc.message}", field=name) from None

    def option(self, name: str) -> object:
        """Return an option's value, or its declared default."""
        value = self.account.options.get(name)
        if value is not None and value != "":
            return value
        return next(setting.default for setting in self.options if setting.name == name)

    def text_option(self, name: str) -> str:
        """Return an option as text; empty when it is not set."""
        value = self.option(name)
        return "" if value is None else str(value)

    @property
    def endpoint(self) -> str | None:
        """The URL that was configured for the provider; None where its own software knows where it is."""
        return None

    @abstractmethod
    def location(self) -> Location:
        """Return where this account's files are, made from what its requests are made from."""

    def _create_file(self, upload: Upload) -> RemoteFile:
        raise self._not_written(Operation.CREATE)

    def _list_files(self, cursor: str | None) -> RemotePage:
        raise self._not_written(Operation.LIST)

    def _retrieve_file(self, remote_id: str) -> RemoteFile:
        raise self._not_written(Operation.RETRIEVE)

    def _download_file(self, remote_id: str, byte_range: ByteRange | None) -> Download:
        raise self._not_written(Operation.CONTENT)

    def _delete_file(self, remote_id: str) -> None:
        raise self._not_written(Operation.DELETE)

    def _find_file(self, namespace: str, file_id: str) -> RemoteFile | None:
        raise UnsupportedOperationError(
            f"{self.label} chooses the ids of its files, so none can be looked for by the gateway's.",
            code="unsupported_operation",
        )

    def _render_file(self, remote_id: str, upload: Upload) -> JSONObject | None:
        return None

    def _is_rendered(self, remote_id: str) -> bool:
        return False

    def _missing_features(self, remote_id: str) -> tuple[str, ...]:
        return ()

    def _sweep_stray(self, older_than: timedelta) -> int:
        raise self._not_written(Operation.DELETE)

    def _not_written(self, operation: Operation) -> AssertionError:
        return AssertionError(f"{type(self).__name__} declares {operation} without implementing it")


_OPERATION_WORDS = {
    Operation.CREATE: "upload a file",
    Operation.LIST: "list files",
    Operation.RETRIEVE: "retrieve a file",
    Operation.CONTENT: "download this file's content",
    Operation.DELETE: "delete a file",
}
