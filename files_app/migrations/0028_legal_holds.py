import django.db.models.deletion
import django.utils.timezone
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from files_app.migrations._online import AddIndexBesideWrites

#: Whose files may end at the provider's own time, which was not kept apart from the gateway's.
EXPIRING = (
    *('anthropic', 'azure-openai', 'cerebras', 'cohere', 'deepinfra', 'gemini', 'mistral', 'openai'),
    *('openai-compatible', 'xai'),
)
BATCH = 5_000
#: role -> what it may do
GRANTED = {
    'Read-only': ['view_legalhold'],
    'Operator': ['view_legalhold', 'add_legalhold'],
    'Owner': ['view_legalhold', 'add_legalhold', 'lift_legalhold'],
}
NAMES = {
    'view_legalhold': 'Can view legal hold',
    'add_legalhold': 'Can add legal hold',
    'lift_legalhold': 'Can lift legal holds',
}


def note_ends(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Take the end of files at these providers for the provider's own."""
    files = apps.get_model('files_app', 'File')._base_manager.using(schema_editor.connection.alias)
    ending = files.filter(
        state='available', expires_at__isnull=False, provider_expires_at=None, account__driver__in=EXPIRING
    )
    while pks := list(ending.values_list('pk', flat=True)[:BATCH]):
        files.filter(pk__in=pks).update(provider_expires_at=models.F('expires_at'))


def grant(apps: Apps, schema_editor: object) -> None:
    """Let the roles see and place holds; owners alone lift them."""
    content_type, _ = apps.get_model('contenttypes', 'ContentType').objects.get_or_create(
        app_label='files_app', model='legalhold'
    )
    permissions = {
        codename: apps.get_model('auth', 'Permission').objects.get_or_create(
            content_type=content_type, codename=codename, defaults={'name': name}
        )[0]
        for codename, name in NAMES.items()
    }
    for group in apps.get_model('auth', 'Group').objects.filter(name__in=GRANTED):
        group.permissions.add(*(permissions[codename] for codename in GRANTED[group.name]))


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('files_app', '0027_sign_in'),
    ]

    operations = [
        migrations.AddField(
            model_name='file',
            name='is_held',
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
        migrations.AddField(
            model_name='file',
            name='provider_expires_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        AddIndexBesideWrites(
            model_name='file',
            index=models.Index(condition=models.Q(('is_held', True)), fields=['organization', 'id'], name='file_held'),
        ),
        migrations.CreateModel(
            name='LegalHold',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.CharField(max_length=500)),
                ('filters', models.JSONField(blank=True, default=dict)),
                ('placed_by', models.CharField(max_length=150)),
                ('placed_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('lifted_by', models.CharField(blank=True, max_length=150)),
                ('lifted_at', models.DateTimeField(blank=True, null=True)),
                ('examined_pk', models.BigIntegerField(default=0, editable=False)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='legal_holds', to='files_app.organization')),
            ],
            options={
                'ordering': ['-placed_at', '-id'],
                'permissions': [('lift_legalhold', 'Can lift legal holds')],
                'indexes': [models.Index(condition=models.Q(('lifted_at', None)), fields=['organization'], name='hold_open')],
            },
        ),
        migrations.CreateModel(
            name='HeldFile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('file', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='held_by', to='files_app.file')),
                ('hold', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='held', to='files_app.legalhold')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('hold', 'file'), name='a_hold_keeps_a_file_once')],
            },
        ),
        migrations.RunPython(note_ends, migrations.RunPython.noop),
        migrations.RunPython(grant, migrations.RunPython.noop),
    ]
