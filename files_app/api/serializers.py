"""Wire shapes of the API.

Answers are made by plain functions: ten thousand rows of a list are too many for serializer instances. The
serializers describe the same shapes for the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from drf_spectacular.utils import (
    PolymorphicProxySerializer,
    extend_schema_field,
    extend_schema_serializer,
)
from rest_framework import serializers

from files_app.models import DailyUsage, File, Organization, ProviderAccount, RetentionRule
from files_app.models.retention import Rules
from files_app.services.accounts.drivers import driver_for
from files_app.services.index.metering.report import Used
from providers.base import Driver
from providers.exceptions import ProviderConfigurationError
from providers.objects import Operation


def usage_object(organization: Organization) -> dict[str, str | int]:
    """Return what an organization holds and may hold."""
    return {
        "object": "usage",
        "organization": organization.name,
        "used_bytes": organization.used_bytes,
        "reserved_bytes": organization.reserved_bytes,
        "quota_bytes": organization.quota_bytes,
        "max_file_bytes": organization.max_file_bytes,
        "file_count": organization.file_count,
    }


def used_object(used: Used) -> dict[str, Any]:
    """Return what was used on a day, by whom where that was asked for."""
    return {
        "object": "usage.day",
        "date": f"{used.day}",
        "api_key": used.key,
        "provider": used.account,
        "purpose": used.purpose,
        "gb_hours": used.gb_hours,
        "adopted_gb_hours": used.adopted_gb_hours,
        "bytes_in": used.bytes_in,
        "bytes_out": used.bytes_out,
        "requests": used.requests,
        "files": used.files,
    }


def provider_object(
    account: ProviderAccount, organization: Organization, service_limits: dict[str, int]
) -> dict[str, Any]:
    """Return an account with what its driver can do and the limits that hold for this organization."""
    shown: dict[str, Any] = {
        "object": "provider",
        "name": account.name,
        "driver": account.driver,
        "default": account.is_default,
        "shared": account.is_shared,
    }
    try:
        driver = driver_for(account)
    except ProviderConfigurationError:
        return {**shown, "status": "misconfigured"}
    can = driver.capabilities
    largest = can.max_bytes
    return {
        **shown,
        "status": "ready",
        "label": driver.label,
        "operations": sorted(can.operations),
        "purposes": sorted(can.purposes),
        "limits": {
            **service_limits,
            "max_file_bytes": min(filter(None, (largest, organization.max_file_bytes))),
            "max_bytes_by_purpose": dict(can.max_bytes_by_purpose),
            "extensions": {purpose: list(endings) for purpose, endings in can.extensions.items()},
        },
        "expires_after": {
            "native": can.expiry.native,
            "min_seconds": can.expiry.min_seconds,
            "max_seconds": can.expiry.max_seconds,
            "default_seconds": can.expiry.default_seconds,
        },
        "batch": _batch_object(driver) if "batch" in can.purposes else None,
        "storage": can.storage,
        "mode": can.mode,
        "ranges": can.ranges,
    }


def retention_object(found: Iterable[RetentionRule]) -> dict[str, Any] | None:
    """Return how long an organization's files at an account live, by the operator's rules; or None."""
    rules = Rules(found)

    def shown(purpose: str) -> dict[str, int | None]:
        life = rules.life(purpose)
        return {"default_seconds": life.unasked_seconds, "max_seconds": life.longest_seconds}

    if not any(value for purpose in ("", *rules.purposes()) for value in shown(purpose).values()):
        return None
    return {**shown(""), "purposes": {purpose: shown(purpose) for purpose in rules.purposes()}}


def _batch_object(driver: Driver) -> dict[str, Any]:
    can = driver.capabilities
    return {
        "lines": [
            {"name": each.name, "requires": list(each.required), "unique": each.unique}
            for each in can.batch_lines
        ],
        "rendered_as": list(driver.batch_formats),
        "job_input": can.job_input,
    }


class BatchLinesSerializer(serializers.Serializer[File]):
    """What the lines of a batch file are for its provider's jobs."""

    format = serializers.CharField(help_text="Of the lines that a job reads, such as `bedrock-converse`.")
    bytes = serializers.IntegerField(help_text="Of what a job reads.")
    records = serializers.IntegerField()
    model = serializers.CharField(
        allow_null=True, help_text="The provider's name for it; null in lines of the provider's own form."
    )
    endpoint = serializers.CharField(allow_null=True, help_text="OpenAI's, such as /v1/chat/completions.")
    ignored = serializers.ListField(
        child=serializers.CharField(), help_text="Fields that were left out, since they change no answer."
    )
    warnings = serializers.ListField(child=serializers.CharField())


class BatchSerializer(BatchLinesSerializer):
    """What a job is given of a batch file, at providers whose jobs read objects of a bucket."""

    uri = serializers.CharField(help_text="What a job reads. s3:// or gs:// address.")
    output_uri = serializers.CharField(help_text="The folder that a job should write to.")


class BatchCountsSerializer(serializers.Serializer[File]):
    """How many requests of a batch came out how. Tokens: where the provider's job counts them."""

    total = serializers.IntegerField()
    completed = serializers.IntegerField()
    failed = serializers.IntegerField()
    input_tokens = serializers.IntegerField(required=False)
    output_tokens = serializers.IntegerField(required=False)


class BatchResultSerializer(serializers.Serializer[File]):
    """What a batch job made, whose content is OpenAI's lines."""

    part = serializers.ChoiceField(["output", "errors"], help_text="Which of OpenAI's two files it is.")
    input_file_id = serializers.CharField(
        allow_null=True, help_text="The file that the job read; null where nothing says which."
    )
    counts = BatchCountsSerializer(required=False, help_text="Once the result is translated.")
    parts = serializers.IntegerField(required=False, help_text="How many objects the job wrote of it.")


@extend_schema_field(
    PolymorphicProxySerializer(
        component_name="BatchMember",
        serializers=[BatchSerializer, BatchResultSerializer],
        resource_type_field_name=None,
    )
)
class BatchField(serializers.Field[Any, Any, Any, Any]):
    """The member `batch`: of an input, or of a result."""


class FileSerializer(serializers.Serializer[File]):
    """OpenAI's file object; `provider`, `uri`, `sha256`, `metadata` and `batch` are the gateway's."""

    id = serializers.CharField(help_text="The provider's own id, or `file-...` in object stores.")
    object = serializers.ChoiceField(["file"])
    bytes = serializers.IntegerField(help_text="Size in bytes.")
    created_at = serializers.IntegerField(help_text="Unix seconds.")
    expires_at = serializers.IntegerField(allow_null=True, help_text="Unix seconds; null: kept.")
    filename = serializers.CharField()
    purpose = serializers.CharField()
    status = serializers.ChoiceField(["uploaded", "processed", "error"])
    status_details = serializers.CharField(
        allow_null=True, help_text="Why a provider refused the file later."
    )
    provider = serializers.CharField(help_text="Name of the provider account that holds the file.")
    uri = serializers.CharField(required=False, help_text="s3:// or gs:// address; works as an id too.")
    sha256 = serializers.CharField(required=False, help_text="Of files that came through the gateway.")
    metadata = serializers.DictField(child=serializers.CharField(), required=False)
    batch = BatchField(required=False)


class FileValidationSerializer(serializers.Serializer[File]):
    """What an upload with `validate_only=true` would have become."""

    object = serializers.ChoiceField(["file.validation"])
    bytes = serializers.IntegerField(help_text="Size in bytes.")
    sha256 = serializers.CharField()
    filename = serializers.CharField()
    purpose = serializers.CharField()
    provider = serializers.CharField(help_text="Name of the provider account that would hold the file.")
    batch = BatchLinesSerializer(required=False)
    sample = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="The first lines that a job would read, each up to 10,000 characters.",
    )


@extend_schema_serializer(many=False)  # it holds the array itself
class FileListSerializer(serializers.Serializer[File]):
    """A page of files, newest first unless asked otherwise."""

    object = serializers.ChoiceField(["list"])
    data = FileSerializer(many=True)  # type: ignore[assignment]  # `data` is the wire's name
    first_id = serializers.CharField(allow_null=True)
    last_id = serializers.CharField(allow_null=True, help_text="`after` of the next page.")
    has_more = serializers.BooleanField()


class FileDeletedSerializer(serializers.Serializer[File]):
    """The answer to a delete."""

    id = serializers.CharField()
    object = serializers.ChoiceField(["file"])
    deleted = serializers.BooleanField()


class UsageSerializer(serializers.Serializer[Organization]):
    """What an organization holds and may hold."""

    object = serializers.ChoiceField(["usage"])
    organization = serializers.CharField()
    used_bytes = serializers.IntegerField()
    reserved_bytes = serializers.IntegerField(help_text="Held by uploads in progress.")
    quota_bytes = serializers.IntegerField()
    max_file_bytes = serializers.IntegerField()
    file_count = serializers.IntegerField()


class UsedSerializer(serializers.Serializer[DailyUsage]):
    """What was used on a day (UTC), of each group that was asked for."""

    object = serializers.ChoiceField(["usage.day"])
    date = serializers.DateField()
    api_key = serializers.CharField(
        allow_null=True, help_text="Its name; empty for what no key did. Null where it is not grouped by."
    )
    provider = serializers.CharField(allow_null=True, help_text="The provider account, as `api_key`.")
    purpose = serializers.CharField(allow_null=True, help_text="As `api_key`.")
    gb_hours = serializers.FloatField(help_text="10^9 bytes times hours, of what counts against the quota.")
    adopted_gb_hours = serializers.FloatField(help_text="The same of files that were made elsewhere.")
    bytes_in = serializers.IntegerField(help_text="Of the files that uploads stored.")
    bytes_out = serializers.IntegerField(help_text="Of content that was sent.")
    requests = serializers.IntegerField()
    files = serializers.IntegerField(help_text="Stored by uploads.")


class UsedListSerializer(serializers.Serializer[DailyUsage]):
    """Usage of several days, in their order. Days without any are left out."""

    object = serializers.ChoiceField(["list"])
    data = UsedSerializer(many=True)  # type: ignore[assignment]  # `data` is the wire's name
    has_more = serializers.BooleanField()


class ProviderLimitsSerializer(serializers.Serializer[ProviderAccount]):
    """The limits of an upload: the service's, the organization's and the provider's."""

    max_file_bytes = serializers.IntegerField()
    max_bytes_by_purpose = serializers.DictField(child=serializers.IntegerField())
    extensions = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField()), help_text="File names by purpose."
    )
    batch_max_file_bytes = serializers.IntegerField()
    batch_max_line_bytes = serializers.IntegerField()
    batch_max_lines = serializers.IntegerField()
    batch_max_depth = serializers.IntegerField(help_text="Nesting of a line's JSON.")
    assistants_max_tokens = serializers.IntegerField(help_text="Of text files.")


class ProviderExpirySerializer(serializers.Serializer[ProviderAccount]):
    """How long files live."""

    native = serializers.BooleanField(help_text="The provider deletes the file itself; else the gateway.")
    min_seconds = serializers.IntegerField()
    max_seconds = serializers.IntegerField()
    default_seconds = serializers.IntegerField(
        allow_null=True, help_text="When the provider deletes unasked; null: never."
    )


class ProviderLinesSerializer(serializers.Serializer[ProviderAccount]):
    """A form of lines that is taken; the first line of a file decides which one it is in."""

    name = serializers.CharField()
    requires = serializers.ListField(child=serializers.CharField(), help_text="Members of each line.")
    unique = serializers.CharField(allow_null=True, help_text="The field that repeats in no file.")


class ProviderBatchSerializer(serializers.Serializer[ProviderAccount]):
    """What batch files are at an account."""

    lines = ProviderLinesSerializer(many=True)
    rendered_as = serializers.ListField(
        child=serializers.CharField(),
        help_text="The forms that OpenAI's lines take for jobs, by their model; empty: jobs read the file.",
    )
    job_input = serializers.ChoiceField(
        ["file_id", "batch_uri"],
        allow_null=True,
        help_text="What a job is given: the file's `id` or its `batch.uri`; null: there are no jobs.",
    )


class LifeSerializer(serializers.Serializer[ProviderAccount]):
    """Seconds; null for no end."""

    default_seconds = serializers.IntegerField(allow_null=True, help_text="Where an upload asks for none.")
    max_seconds = serializers.IntegerField(allow_null=True, help_text="More is refused.")


class RetentionSerializer(LifeSerializer):
    """How long files live by the operator's rules, whatever their provider does."""

    purposes = serializers.DictField(child=LifeSerializer(), help_text="Where rules differ by purpose.")


class ProviderSerializer(serializers.Serializer[ProviderAccount]):
    """A provider account and what it can do; a misconfigured one shows only what it is."""

    object = serializers.ChoiceField(["provider"])
    name = serializers.CharField(help_text="For the header x-tfy-provider-name.")
    driver = serializers.CharField()
    default = serializers.BooleanField()
    shared = serializers.BooleanField(help_text="Every organization uses it.")
    status = serializers.ChoiceField(["ready", "misconfigured"])
    label = serializers.CharField(required=False)  # type: ignore[assignment]  # the wire's name
    operations = serializers.ListField(child=serializers.ChoiceField(list(Operation)), required=False)
    purposes = serializers.ListField(child=serializers.CharField(), required=False)
    limits = ProviderLimitsSerializer(required=False)
    expires_after = ProviderExpirySerializer(required=False)
    retention = RetentionSerializer(allow_null=True, help_text="null: the operator has no rule.")
    batch = ProviderBatchSerializer(required=False, allow_null=True, help_text="null: takes no batch files.")
    storage = serializers.ChoiceField(["provider", "s3", "gcs", "disk"], required=False)
    mode = serializers.ChoiceField(["pass-through", "transformed", "object store"], required=False)
    ranges = serializers.BooleanField(required=False, help_text="Whether `Range` is honoured.")


class ProviderListSerializer(serializers.Serializer[ProviderAccount]):
    """The accounts that the key may use."""

    object = serializers.ChoiceField(["list"])
    data = ProviderSerializer(many=True)  # type: ignore[assignment]  # `data` is the wire's name


class ErrorDetailSerializer(serializers.Serializer[File]):
    """What went wrong."""

    message = serializers.CharField()
    type = serializers.ChoiceField(
        [
            "invalid_request_error",
            "permission_error",
            "insufficient_quota",
            "rate_limit_error",
            "server_error",
        ]
    )
    param = serializers.CharField(allow_null=True, help_text="The field, header or parameter at fault.")
    code = serializers.CharField(allow_null=True, help_text="For programs; docs/api.md lists them.")


class ErrorSerializer(serializers.Serializer[File]):
    """OpenAI's error envelope."""

    error = ErrorDetailSerializer()
