import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    """`manage.py bootstrap` fills in the places: they are made by drivers, which no migration can import."""

    dependencies = [
        ('files_app', '0005_limits'),
    ]

    operations = [
        migrations.CreateModel(
            name='AccountPlace',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('authority', models.CharField(max_length=300)),
                ('path', models.TextField()),
                ('key_digest', models.CharField(blank=True, max_length=64)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='places', to='files_app.provideraccount')),
            ],
            options={
                'indexes': [models.Index(fields=['authority', 'key_digest'], name='place_authority')],
            },
        ),
        migrations.RemoveField(model_name='provideraccount', name='location_digest'),
        migrations.RemoveField(model_name='provideraccount', name='upstream_digest'),
        migrations.AddField(
            model_name='provideraccount',
            name='access_proved_at',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='provideraccount',
            name='shared_since',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='provideraccount',
            name='shared_reason',
            field=models.CharField(blank=True, choices=[('place', 'an account of another organization leads to the same place'), ('directory', 'another account on disk has the same directory, or one above or below it'), ('evidence', 'its provider showed a file that belongs to another organization')], editable=False, max_length=32),
        ),
        migrations.AddField(
            model_name='provideraccount',
            name='confirmed_at',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='file',
            name='is_withheld',
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
