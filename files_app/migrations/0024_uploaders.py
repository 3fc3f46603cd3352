from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from files_app.migrations._online import AddIndexBesideWrites


def name_uploaders(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Name those who uploaded without a key, as far as the audit trail still knows them."""
    alias = schema_editor.connection.alias
    files = apps.get_model('files_app', 'File')._base_manager.using(alias)
    events = apps.get_model('files_app', 'AuditEvent')._base_manager.using(alias)
    known = events.filter(actor_type__in=['user', 'command'], action='file.create', object_type='file')
    for actor, object_id, organization in known.values_list('actor', 'object_id', 'organization').iterator():
        unnamed = files.filter(file_id=object_id, organization=organization, api_key=None, is_adopted=False)
        unnamed.filter(uploaded_by='').update(uploaded_by=actor)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('files_app', '0023_demo'),
    ]

    operations = [
        migrations.AddField(
            model_name='apikey',
            name='last_used_ip',
            field=models.GenericIPAddressField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='file',
            name='failure_kind',
            field=models.CharField(blank=True, choices=[('credentials', 'credentials refused'), ('configuration', 'account refused'), ('unavailable', 'provider unavailable'), ('rate_limited', "provider's rate limit"), ('rejected', 'refused by the provider'), ('unclear', 'unclear answer'), ('invalid', 'not valid'), ('too_large', 'too large'), ('quota', 'quota full'), ('broken_off', 'client gone'), ('stalled', 'no progress'), ('gateway', 'gateway')], db_default='', default='', editable=False, max_length=16),
        ),
        migrations.AddField(
            model_name='file',
            name='uploaded_by',
            field=models.CharField(blank=True, db_default='', default='', editable=False, max_length=150),
        ),
        AddIndexBesideWrites(
            model_name='file',
            index=models.Index(condition=models.Q(('api_key__isnull', False)), fields=['api_key', 'state', '-indexed_at', '-id'], name='file_by_key'),
        ),
        AddIndexBesideWrites(
            model_name='file',
            index=models.Index(condition=models.Q(('uploaded_by', ''), _negated=True), fields=['uploaded_by', 'state', '-indexed_at', '-id'], name='file_by_person'),
        ),
        migrations.RunPython(name_uploaders, migrations.RunPython.noop),
    ]
