from datetime import timedelta

import django.db.models.deletion
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from files_app.migrations._online import (
    AddIndexBesideWrites,
    DropForeignKeyIndexBesideWrites,
    PostgresIndexBesideWrites,
    RemoveIndexBesideWrites,
)

LISTED = ('state', '-indexed_at', '-id')
#: What lists rely on to find files by their time: see services/reading/listing.py.
DAY = timedelta(days=1)


def believe_only_near_times(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Give files whose provider said a time far from that of the upload the time of the upload."""
    files = apps.get_model('files_app', 'File')._base_manager.using(schema_editor.connection.alias)
    for far in (
        {'created_at__lt': models.F('indexed_at') - DAY},
        {'created_at__gt': models.F('indexed_at') + DAY},
    ):
        files.filter(**far).update(created_at=models.F('indexed_at'))


class Migration(migrations.Migration):
    """New indexes first, so that no query is without one; then the old ones go."""

    atomic = False

    dependencies = [
        ('files_app', '0019_line_index'),
    ]

    operations = [
        AddIndexBesideWrites(
            model_name='auditevent',
            index=models.Index(fields=['object_id', 'object_type'], name='audit_by_object_id'),
        ),
        AddIndexBesideWrites(
            model_name='auditevent',
            index=models.Index(fields=['request_id'], name='audit_by_request'),
        ),
        AddIndexBesideWrites(
            model_name='auditevent',
            index=models.Index(fields=['actor', '-created_at', '-id'], name='audit_by_actor'),
        ),
        AddIndexBesideWrites(
            model_name='auditevent',
            index=models.Index(condition=models.Q(('ip__isnull', False)), fields=['ip', '-created_at', '-id'], name='audit_by_address'),
        ),
        AddIndexBesideWrites(
            model_name='auditevent',
            index=models.Index(condition=models.Q(('actor_type', 'api_key'), _negated=True), fields=['actor_type', '-created_at', '-id'], name='audit_by_actor_type'),
        ),
        AddIndexBesideWrites(
            model_name='auditevent',
            index=models.Index(condition=models.Q(('result', 'ok'), _negated=True), fields=['-created_at', '-id'], name='audit_not_ok'),
        ),
        AddIndexBesideWrites(
            model_name='file',
            index=models.Index(fields=['file_id', 'organization', 'state'], name='file_by_id'),
        ),
        AddIndexBesideWrites(
            model_name='file',
            index=models.Index(condition=models.Q(('uri', ''), _negated=True), fields=['uri', 'organization', 'state'], name='file_by_uri'),
        ),
        AddIndexBesideWrites(
            model_name='file',
            index=models.Index(condition=models.Q(('sha256', ''), _negated=True), fields=['sha256', 'organization'], name='file_by_sha256'),
        ),
        AddIndexBesideWrites(
            model_name='file',
            index=models.Index(fields=['organization', *LISTED], name='file_by_organization'),
        ),
        AddIndexBesideWrites(
            model_name='file',
            index=models.Index(fields=['account', 'organization', *LISTED], name='file_by_account'),
        ),
        AddIndexBesideWrites(
            model_name='file',
            index=models.Index(condition=models.Q(('purpose', ''), _negated=True), fields=['purpose', 'organization', *LISTED], name='file_by_purpose'),
        ),
        AddIndexBesideWrites(
            model_name='file',
            index=models.Index(
                condition=models.Q(('filename', ''), _negated=True),
                fields=['filename', 'organization', *LISTED],
                name='file_by_name',
                opclasses=['varchar_pattern_ops', 'int8_ops', 'varchar_ops', 'timestamptz_ops', 'int8_ops'],
            ),
        ),
        AddIndexBesideWrites(
            model_name='file',
            index=models.Index(condition=models.Q(('status', 'processed'), _negated=True), fields=['organization', 'status', *LISTED], name='file_by_status'),
        ),
        AddIndexBesideWrites(
            model_name='file',
            index=models.Index(fields=['bytes', 'indexed_at', 'id'], name='file_by_size'),
        ),
        AddIndexBesideWrites(
            model_name='file',
            index=models.Index(condition=models.Q(('is_adopted', True)), fields=['account', '-indexed_at', '-id'], name='file_adopted'),
        ),
        AddIndexBesideWrites(
            model_name='file',
            index=models.Index(condition=models.Q(('is_withheld', True)), fields=['account'], name='file_withheld'),
        ),
        PostgresIndexBesideWrites(
            'file_by_metadata',
            "files_app_file USING gin (metadata jsonb_path_ops) WHERE NOT metadata = '{}'::jsonb",
        ),
        PostgresIndexBesideWrites(
            'file_by_part_of_name',
            "files_app_file USING gin (upper(filename::text) gin_trgm_ops) WHERE NOT filename::text = ''::text",
            extension='pg_trgm',
        ),
        RemoveIndexBesideWrites(model_name='auditevent', name='audit_by_object'),
        RemoveIndexBesideWrites(model_name='file', name='file_lookup'),
        RemoveIndexBesideWrites(model_name='file', name='file_list'),
        RemoveIndexBesideWrites(model_name='file', name='file_list_by_account'),
        RemoveIndexBesideWrites(model_name='file', name='file_list_by_purpose'),
        RemoveIndexBesideWrites(model_name='file', name='file_sha256'),
        RemoveIndexBesideWrites(model_name='file', name='file_lookup_by_uri'),
        DropForeignKeyIndexBesideWrites(
            model_name='auditevent',
            name='organization',
            field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='files_app.organization'),
        ),
        DropForeignKeyIndexBesideWrites(
            model_name='file',
            name='account',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='files', to='files_app.provideraccount'),
        ),
        DropForeignKeyIndexBesideWrites(
            model_name='file',
            name='api_key',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='files_app.apikey'),
        ),
        DropForeignKeyIndexBesideWrites(
            model_name='file',
            name='organization',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='files', to='files_app.organization'),
        ),
        DropForeignKeyIndexBesideWrites(
            model_name='filecopy',
            name='account',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='copies', to='files_app.provideraccount'),
        ),
        migrations.RunPython(believe_only_near_times, migrations.RunPython.noop),
    ]
