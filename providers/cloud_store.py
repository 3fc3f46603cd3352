"""The base of the object stores of clouds, whose hosts may have credentials of their own.

Those default credentials (environment, instance role, workload identity, key file) belong to who runs the
gateway. They serve accounts that an operator made, and go to the vendor and to nobody else.
"""

from __future__ import annotations

import re
import socket
from dataclasses import replace
from typing import ClassVar, Final

from providers.base import Setting
from providers.batch_options import batch_options
from providers.batches.json_lines import LineLimits
from providers.batches.rendering import BatchRenderer
from providers.batches.targets.table import RenderedDriver, formats_of
from providers.exceptions import ProviderConfigurationError
from providers.object_store import ObjectStoreDriver
from providers.objects import RemoteFile
from providers.parsing import split_url
from providers.results import JobResults, translated_from
from providers.stored_results import StoredResults
from providers.transports.addresses import addresses_of, is_public
from providers.transports.objects import StoredObject

ANYWHERE: Final = Setting(
    "default_credentials_anywhere",
    "Platform's credentials anywhere",
    "Send the platform's own credentials to the endpoint above although it is not the vendor's. Only in "
    "accounts that an operator made.",
    kind="boolean",
)


class CloudStoreDriver(ObjectStoreDriver):
    """Decides whose credentials a store gets, and how batch files are rendered for its jobs.

    vendor_host: matches the hosts that the vendor itself runs. Customers' hosts below the vendor's domain
    (virtual machines, load balancers, endpoint services) are none of them.
    role_option: the option that names a role to assume; empty where there is none.
    renders_for: whose jobs read what is rendered.
    result_names: matches the names of results that can be translated, as `providers.results` wants it.
    """

    vendor_host: ClassVar[re.Pattern[str]]
    role_option: ClassVar[str] = ""
    renders_for: ClassVar[RenderedDriver]
    result_names: ClassVar[re.Pattern[str]]

    @property
    def is_foreign(self) -> bool:
        """Whether the endpoint is somebody else's than the vendor's."""
        if self.endpoint_url is None:
            return False
        parts = split_url(self.endpoint_url)
        is_vendors = self.vendor_host.fullmatch((parts.hostname or "").rstrip("."))
        return not (is_vendors and parts.scheme == "https" and parts.port in {None, 443})

    @property
    def is_anonymous(self) -> bool:
        """Whether to send no credentials: none are given, and the endpoint is on a private network."""
        return self._uses_default_credentials and self._is_off_limits and self._is_inside()

    def check_configuration(self) -> None:
        """Refuse the platform's credentials to whom they are not for, besides what every store checks."""
        super().check_configuration()
        batch_options(self, model=None)
        if self.option(ANYWHERE.name) not in (None, True, False):
            raise ProviderConfigurationError(f"'{ANYWHERE.name}' must be true or false.", field=ANYWHERE.name)
        if not self.account.is_operators:
            self._refuse_platform()
        elif self._is_off_limits and self._role:
            raise ProviderConfigurationError(
                f"A role is assumed for {self.label} itself, not for another endpoint, unless "
                f"'{ANYWHERE.name}' says so.",
                field=self.role_option,
            )

    @property
    def batch_formats(self) -> tuple[str, ...]:
        return formats_of(self.renders_for, batch_options(self, model=None).job)

    def batch_renderer(self, *, model: str | None, limits: LineLimits) -> BatchRenderer:
        return BatchRenderer(self.renders_for, batch_options(self, model), limits)

    @property
    def results(self) -> JobResults:
        return StoredResults(self, self.result_names, self._door)

    def _key_is_own(self, key: str) -> bool:
        is_translation = translated_from(self.result_names, key) is not None
        return super()._key_is_own(key) or (is_translation and key.startswith(self.prefix))

    def _remote_file(self, bucket: str, stored: StoredObject) -> RemoteFile:
        file = super()._remote_file(bucket, stored)
        return replace(file, translation_of=translated_from(self.result_names, file.remote_id))

    def check_endpoints(self) -> None:
        """Refuse default credentials that would go to a stranger, besides addresses out of reach."""
        super().check_endpoints()
        self.check_recipient()

    def check_recipient(self) -> None:
        """Raise ProviderConfigurationError where default credentials would go to somebody else's endpoint."""
        if self._uses_default_credentials and self._is_off_limits and not self.is_anonymous:
            raise ProviderConfigurationError(
                f"The platform's own credentials go to {self.label} alone: enter credentials for "
                f"{self.endpoint_url}, or set '{ANYWHERE.name}'.",
                field=self.credentials[0].name,
            )

    def _refuse_platform(self) -> None:
        for name in filter(None, (self.role_option, ANYWHERE.name)):
            if self.option(name):
                raise ProviderConfigurationError(
                    f"'{name}' is for accounts that an operator made.", field=name
                )
        if self._uses_default_credentials:
            raise ProviderConfigurationError(
                "Enter credentials: the platform's own are for accounts that an operator made.",
                field=self.credentials[0].name,
            )

    @property
    def _role(self) -> str:
        return self.text_option(self.role_option) if self.role_option else ""

    @property
    def _uses_default_credentials(self) -> bool:
        return not any(self.account.credentials.values())

    @property
    def _is_off_limits(self) -> bool:
        """Whether the platform's credentials may not go to the endpoint."""
        return self.is_foreign and not self.option(ANYWHERE.name)

    def _is_inside(self) -> bool:
        """Whether the endpoint leads to an address that is not public; False when it leads nowhere."""
        parts = split_url(self.endpoint_url or "")
        try:
            return not all(map(is_public, addresses_of(parts.hostname or "", parts.port)))
        except socket.gaierror:
            return False
