"""The driver interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from providers.exceptions import ProviderConfigurationError, UnsupportedOperationError
from providers.objects import (
    ByteRange,
    Capabilities,
    Download,
    Operation,
    RemoteFile,
    RemotePage,
    Upload,
)
from providers.transports.http import HTTPTransport, TransportLimits


@dataclass(frozen=True, slots=True)
class Setting:
    """One option or credential of a driver, as the admin form and `manage.py apply` know it."""

    name: str
    label: str
    help: str = ""
    kind: Literal["string", "url", "integer", "boolean", "list", "mapping", "text"] = "string"
    required: bool = False
    secret: bool = False
    default: object = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Environment:
    """What the process gives to every driver."""

    limits: TransportLimits = field(default_factory=TransportLimits)
    data_dir: Path = Path("var")
    chunk_bytes: int = 262_144


@dataclass(frozen=True, slots=True)
class AccountConfig:
    """A provider account as a driver sees it: resolved options and credentials. Its repr shows no secret."""

    name: str
    options: Mapping[str, object] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    environment: Environment = field(default_factory=Environment)
    transport: HTTPTransport | None = field(default=None, repr=False)


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
    that they declare; the public ones refuse what is not declared before any request is made.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    docs_url: ClassVar[str] = ""
    capabilities: Capabilities
    options: ClassVar[tuple[Setting, ...]] = ()
    credentials: ClassVar[tuple[Setting, ...]] = ()

    def __init__(self, account: AccountConfig) -> None:
        self.account = account
        self.check_configuration()

    def create_file(self, upload: Upload) -> RemoteFile:
        """Send the upload's bytes as they arrive and return what the provider made of them.

        Raises ProviderError; and whatever the upload's own iterator raises, after having aborted at the
        provider.
        """
        self.require(Operation.CREATE)
        return self._create_file(upload)

    def list_files(self, *, cursor: str | None = None) -> RemotePage:
        """Return one page of the files that the provider holds; pass `next_cursor` back for the next."""
        self.require(Operation.LIST)
        return self._list_files(cursor)

    def retrieve_file(self, remote_id: str) -> RemoteFile:
        """Return the provider's description of one file. Raises RemoteFileNotFoundError."""
        self.require(Operation.RETRIEVE)
        return self._retrieve_file(remote_id)

    def download_file(self, remote_id: str, *, byte_range: ByteRange | None = None) -> Download:
        """Open a file's bytes; the provider has answered with success when this returns.

        A range is honoured only where `capabilities.ranges` says so; otherwise the whole file comes.
        """
        self.require(Operation.CONTENT)
        return self._download_file(remote_id, byte_range)

    def delete_file(self, remote_id: str) -> None:
        """Delete one file. Raises RemoteFileNotFoundError when it is gone already."""
        self.require(Operation.DELETE)
        self._delete_file(remote_id)

    def require(self, operation: Operation) -> None:
        """Raise UnsupportedOperationError unless the provider has `operation`."""
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
            provider=self.account.name,
            operation=operation,
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

    @abstractmethod
    def upstream(self) -> tuple[str, ...]:
        """Return what identifies the store behind this account: endpoint, or bucket and prefix.

        Two accounts with the same upstream and the same credentials see the same files.
        """

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

    def _not_written(self, operation: Operation) -> AssertionError:
        return AssertionError(f"{type(self).__name__} declares {operation} without implementing it")


_OPERATION_WORDS = {
    Operation.CREATE: "upload a file",
    Operation.LIST: "list files",
    Operation.RETRIEVE: "retrieve a file",
    Operation.CONTENT: "download this file's content",
    Operation.DELETE: "delete a file",
}
