"""What a configuration file may say: its shape, checked before anything of it is applied.

Messages begin with the place and never repeat a value that can be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from files_app.models import ApiKey, Organization, ProviderAccount, RetentionRule, WebhookEndpoint
from files_app.models.organizations import all_scopes
from files_app.models.webhooks import SUBSCRIBABLE
from files_app.services.accounts.credentials import resolve
from files_app.services.tenants.exact_fields import (
    ChoiceField,
    CountField,
    ExactSerializer,
    ListField,
    MappingField,
    TextField,
    TruthField,
    shown,
)
from files_app.words import seconds_in
from providers.exceptions import ProviderConfigurationError
from providers.registry import DRIVERS

#: Where PyYAML's words repeat what stands in the file: a secret that begins with *, & or ! is read as one.
#: PyYAML's words for the slips that people make, and ours.
_SLIPS = {
    "mapping values are not allowed here": (
        "text with ': ' in it has to be in quotes, or the line above has one ':' too many"
    ),
    "expected ',' or ']'": "the list that begins with [ is not closed: a ] or , is missing",
    "expected ',' or '}'": "the mapping that begins with { is not closed: a } or , is missing",
    "expected the node content": "something is missing: a value, or the ] or } that closes what is open",
    "could not find expected ':'": "a name without ':' behind it",
    "expected <block end>": "this line is indented in another way than those above that it belongs to",
    "found character '\\t'": "a tab: indent with spaces",
    "found unexpected end of stream": "text in quotes is not closed",
}
_REPEATED = re.compile(r"\b(alias|anchor|tag|handle) ['\"].*", re.DOTALL)


class ConfigurationFileError(Exception):
    """The file cannot be applied; the message begins with the place."""


def read_configuration(text: str) -> Mapping[str, Any]:
    """Return what a YAML document says, with the names of columns. Raises ConfigurationFileError.

    What the document does not mention is not in the result either.
    """
    document = _load(text)
    try:
        entries: Mapping[str, Any] = ConfigurationSerializer().run_validation(document)
    except ValidationError as exc:
        raise ConfigurationFileError(next(_problems(exc.detail))) from None
    return entries


def _load(text: str) -> Any:
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as exc:
        raise ConfigurationFileError(f"not valid YAML: {_slip(exc)}.") from None
    return {} if document is None else document


def _slip(exc: Exception) -> str:
    """Say what is wrong with the YAML; PyYAML shows the line too, with whatever secret is in it."""
    if isinstance(exc, yaml.MarkedYAMLError) and exc.problem_mark is not None:
        return f"line {exc.problem_mark.line + 1}, column {exc.problem_mark.column + 1}: {_words(exc)}"
    if isinstance(exc, yaml.reader.ReaderError):
        return f"character {exc.position + 1} cannot stand in a file; write it as an escape in quotes"
    if isinstance(exc, RecursionError):
        return "it is nested too deeply"
    return "there is a date or number that cannot be, or a tag on a wrong value; write text in quotes"


def _words(exc: yaml.MarkedYAMLError) -> str:
    for begins, words in _SLIPS.items():
        if (exc.problem or "").startswith(begins):
            return words
    return _REPEATED.sub(r"\1", ", ".join(filter(None, (exc.context, exc.problem))))


def _problems(detail: Any, place: str = "") -> Iterator[str]:
    """Yield `place: message` for each error that a serializer has nested by field and index."""
    if isinstance(detail, Mapping):
        for key, inner in detail.items():
            yield from _problems(inner, _place_in(place, key))
    elif isinstance(detail, list):
        for inner in detail:
            yield from _problems(inner, place)
    else:
        yield f"{place or 'the file'}: {detail}"


def _place_in(place: str, key: str | int) -> str:
    if isinstance(key, int):
        return f"{place}[{key}]"
    return f"{place}.{shown(key)}" if place else shown(key)


def _resolved(value: str) -> str:
    try:
        return resolve(value)
    except ProviderConfigurationError as exc:
        where = " Set it here and where the gateway runs: .env beside manage.py is read by both."
        raise ValidationError(f"{exc}{where if value.startswith('env:') else ''}") from None


class SecretField(TextField):
    """The secret itself, or `env:NAME` or `file:/path`, which is read."""

    def to_internal_value(self, data: Any) -> str:
        return _resolved(super().to_internal_value(data))


def _rate(name: str) -> CountField:
    column = getattr(Organization, name).field
    return CountField(required=False, allow_null=True, validators=column.validators)


class RatesSerializer(ExactSerializer):
    """What may have rates of its own; null is the setting's."""

    requests_per_minute = _rate("requests_per_minute")
    bytes_per_minute = _rate("bytes_per_minute")
    uploads_per_minute = _rate("uploads_per_minute")
    uploads_at_once = _rate("uploads_at_once")


class KeySerializer(RatesSerializer):
    """An API key; one without `key` is made."""

    name = TextField(validators=ApiKey.name.field.validators)
    key = SecretField(required=False)
    scopes = ListField(child=ChoiceField("scope", all_scopes()), required=False)


class LifeField(TextField):
    """A time such as `90d`, as seconds; null for none."""

    def __init__(self, column: str) -> None:
        validators = getattr(RetentionRule, column).field.validators
        super().__init__(required=False, allow_null=True)
        self._bounds = validators

    def to_internal_value(self, data: Any) -> Any:
        seconds = seconds_in(super().to_internal_value(data))
        if seconds is None:
            raise ValidationError("must be a time such as 12h, 90d or 8w.")
        for check in self._bounds:
            check(seconds)
        return seconds


class AccountRetentionSerializer(ExactSerializer):
    """How long files at an account live."""

    purpose = TextField(required=False, validators=RetentionRule.purpose.field.validators)
    default_expiry = LifeField("default_expiry_seconds")
    longest_life = LifeField("longest_life_seconds")
    failed_after = LifeField("failed_after_seconds")
    lost_after = LifeField("lost_after_seconds")

    def to_internal_value(self, data: Any) -> Any:
        """Return the names of columns."""
        given = super().to_internal_value(data)
        renamed = {"default_expiry", "longest_life", "failed_after", "lost_after"}
        return {f"{name}_seconds" if name in renamed else name: value for name, value in given.items()}


class RetentionSerializer(AccountRetentionSerializer):
    """How long an organization's files live, at all of its accounts or at one."""

    account = TextField(required=False)
    keep_audit_days = CountField(
        required=False, allow_null=True, validators=RetentionRule.keep_audit_days.field.validators
    )


class AccountSerializer(ExactSerializer):
    """A provider account. What its driver takes is the driver's to say."""

    name = TextField(validators=ProviderAccount.name.field.validators)
    driver = ChoiceField("driver", sorted(DRIVERS), required=False)
    options = MappingField(
        child=serializers.JSONField(
            allow_null=True,
            error_messages={"invalid": "cannot be written as JSON; write text such as a date in quotes."},
        ),
        required=False,
    )
    default = TruthField(source="is_default", required=False)
    enabled = TruthField(source="is_enabled", required=False)
    list_freshness = CountField(
        source="list_freshness_seconds",
        allow_null=True,
        required=False,
        validators=ProviderAccount.list_freshness_seconds.field.validators,
    )
    retention = ListField(child=AccountRetentionSerializer(), required=False)
    credentials = MappingField(child=TextField(allow_blank=True, validators=[_resolved]), required=False)


class WebhookSerializer(ExactSerializer):
    """Where an organization is told what happens."""

    name = TextField(validators=WebhookEndpoint._meta.get_field("name").validators)
    url = TextField(required=False)
    events = ListField(child=ChoiceField("event", SUBSCRIBABLE), source="kinds", required=False)
    secret = SecretField(required=False)
    enabled = TruthField(source="is_enabled", required=False)


class OrganizationSerializer(RatesSerializer):
    """An organization with what belongs to it."""

    name = TextField(validators=Organization.name.field.validators)
    quota_bytes = CountField(required=False, validators=Organization.quota_bytes.field.validators)
    max_file_bytes = CountField(required=False, validators=Organization.max_file_bytes.field.validators)
    max_files = CountField(required=False, validators=Organization.max_files.field.validators)
    trash_days = CountField(required=False, validators=Organization.trash_days.field.validators)
    trash_is_free = TruthField(required=False)
    active = TruthField(source="is_active", required=False)
    retention = ListField(child=RetentionSerializer(), required=False)
    api_keys = ListField(child=KeySerializer(), required=False)
    provider_accounts = ListField(child=AccountSerializer(), required=False)
    webhooks = ListField(child=WebhookSerializer(), required=False)


class ConfigurationSerializer(ExactSerializer):
    """The whole file."""

    organizations = ListField(child=OrganizationSerializer(), required=False)
    shared_provider_accounts = ListField(child=AccountSerializer(), required=False)
