import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('files_app', '0032_webhooks'),
    ]

    operations = [
        migrations.CreateModel(
            name='FileJob',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.CharField(max_length=64, unique=True)),
                ('kind', models.CharField(choices=[('delete', 'Delete'), ('expire', 'set expiry'), ('recheck', 're-check')], max_length=16)),
                ('status', models.CharField(choices=[('queued', 'Queued'), ('running', 'Running'), ('done', 'Done'), ('cancelled', 'Cancelled')], default='queued', max_length=16)),
                ('arguments', models.JSONField(default=dict)),
                ('filters', models.JSONField(default=dict)),
                ('described', models.CharField(max_length=500)),
                ('actor_type', models.CharField(max_length=16)),
                ('actor', models.CharField(blank=True, max_length=150)),
                ('ip', models.GenericIPAddressField(null=True)),
                ('request_id', models.CharField(blank=True, max_length=64)),
                ('files', models.BigIntegerField(default=0)),
                ('bytes', models.BigIntegerField(default=0)),
                ('done_files', models.BigIntegerField(default=0)),
                ('done_bytes', models.BigIntegerField(default=0)),
                ('refused_files', models.BigIntegerField(default=0)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('finished_at', models.DateTimeField(null=True)),
                ('idempotency_key', models.CharField(max_length=255, null=True)),
                ('fingerprint', models.CharField(blank=True, max_length=64)),
                ('lease_token', models.CharField(blank=True, max_length=32)),
                ('lease_expires_at', models.DateTimeField(null=True)),
                ('api_key', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='files_app.apikey')),
                ('organization', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='file_jobs', to='files_app.organization')),
            ],
            options={
                'verbose_name': 'job',
                'ordering': ['-created_at', '-id'],
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='FileJobItem',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('file_pk', models.BigIntegerField()),
                ('file_id', models.CharField(max_length=255)),
                ('bytes', models.BigIntegerField()),
                ('result', models.CharField(blank=True, choices=[('', 'Waiting'), ('done', 'Done'), ('refused', 'Refused')], default='', max_length=16)),
                ('detail', models.CharField(blank=True, max_length=200)),
                ('job', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='items', to='files_app.filejob')),
                ('organization', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='files_app.organization')),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='FileJobPart',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('files', models.BigIntegerField()),
                ('bytes', models.BigIntegerField()),
                ('job', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='parts', to='files_app.filejob')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='files_app.organization')),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.AddIndex(
            model_name='filejob',
            index=models.Index(fields=['-created_at', '-id'], name='file_job_newest'),
        ),
        migrations.AddIndex(
            model_name='filejob',
            index=models.Index(condition=models.Q(('finished_at', None)), fields=['id'], name='file_job_open'),
        ),
        migrations.AddConstraint(
            model_name='filejob',
            constraint=models.UniqueConstraint(fields=('organization', 'idempotency_key'), name='a_key_makes_one_job'),
        ),
        migrations.AddIndex(
            model_name='filejobitem',
            index=models.Index(fields=['job', 'id'], name='file_job_items'),
        ),
        migrations.AddIndex(
            model_name='filejobitem',
            index=models.Index(condition=models.Q(('result', '')), fields=['job', 'id'], name='file_job_waiting'),
        ),
        migrations.AddConstraint(
            model_name='filejobitem',
            constraint=models.UniqueConstraint(fields=('job', 'file_pk'), name='a_file_is_once_in_a_job'),
        ),
        migrations.AddConstraint(
            model_name='filejobpart',
            constraint=models.UniqueConstraint(fields=('job', 'organization'), name='one_part_of_an_organization'),
        ),
    ]
