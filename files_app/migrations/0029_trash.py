import django.core.validators
from django.db import migrations, models

from files_app.migrations._online import AddIndexBesideWrites

STATES = ('uploading', 'available', 'trashed', 'deleting', 'deleted', 'failed', 'lost')


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('files_app', '0028_legal_holds'),
    ]

    operations = [
        migrations.AddField(
            model_name='file',
            name='is_counted_in_trash',
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
        migrations.AddField(
            model_name='file',
            name='trash_ends_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='organization',
            name='trash_days',
            field=models.PositiveSmallIntegerField(db_default=0, default=0, validators=[django.core.validators.MaxValueValidator(366)]),
        ),
        migrations.AddField(
            model_name='organization',
            name='trash_is_free',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AlterField(
            model_name='file',
            name='state',
            field=models.CharField(choices=[(state, state.title()) for state in STATES], default='uploading', max_length=16),
        ),
        migrations.CreateModel(
            name='TrashedFile',
            fields=[],
            options={
                'verbose_name_plural': 'trash',
                'permissions': [],
                'proxy': True,
                'default_permissions': (),
                'indexes': [],
                'constraints': [],
            },
            bases=('files_app.file',),
        ),
        AddIndexBesideWrites(
            model_name='file',
            index=models.Index(condition=models.Q(('state', 'trashed')), fields=['trash_ends_at'], name='file_trash'),
        ),
    ]
