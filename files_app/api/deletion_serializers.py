"""What the OpenAPI document says of deletions of many files."""

from __future__ import annotations

from rest_framework import serializers

from files_app.models import File
from providers.objects import FILE_STATUSES


class DeletionFilterSerializer(serializers.Serializer[File]):
    """Which files; at least one condition."""

    purpose = serializers.CharField(required=False)
    provider = serializers.CharField(required=False, help_text="Name of a provider account.")
    status = serializers.ChoiceField(FILE_STATUSES, required=False)
    filename = serializers.CharField(required=False, help_text="The whole name.")
    created_after = serializers.IntegerField(required=False, help_text="Unix seconds, exclusive.")
    created_before = serializers.IntegerField(required=False, help_text="Unix seconds, exclusive.")
    metadata = serializers.DictField(
        child=serializers.CharField(), required=False, help_text="Values by key; all of them are there."
    )


class DeletionRequestSerializer(serializers.Serializer[File]):
    """What is to be deleted."""

    filter = DeletionFilterSerializer()
    dry_run = serializers.BooleanField(required=False, default=False, help_text="Only count the files.")
    erase = serializers.BooleanField(
        required=False, default=False, help_text="Skip the organization's trash: nobody can restore them."
    )


class DeletionCountsSerializer(serializers.Serializer[File]):
    """How many files, and how far it is."""

    files = serializers.IntegerField(help_text="That matched when the deletion was made.")
    bytes = serializers.IntegerField()
    deleted = serializers.IntegerField()
    deleted_bytes = serializers.IntegerField()
    refused = serializers.IntegerField(help_text="The report says why.")
    waiting = serializers.IntegerField()


class DeletionSerializer(serializers.Serializer[File]):
    """A deletion of all files that matched."""

    id = serializers.CharField(allow_null=True, help_text="null for a dry run.")
    object = serializers.ChoiceField(["file.deletion_job"])
    status = serializers.ChoiceField(["dry_run", "queued", "in_progress", "completed", "cancelled"])
    filter = DeletionFilterSerializer()
    counts = DeletionCountsSerializer()
    created_at = serializers.IntegerField(help_text="Unix seconds.")
    completed_at = serializers.IntegerField(allow_null=True, help_text="Unix seconds, of its end.")
    report = serializers.CharField(allow_null=True, help_text="Path of the report, for 30 days.")
