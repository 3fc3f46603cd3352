import uuid

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.apps.registry import Apps
from django.db import migrations, models

import files_app.models.webhooks

MODELS = {'webhookendpoint': 'webhook endpoint', 'webhookdelivery': 'webhook delivery'}
#: role -> what it may do with endpoints; the log is for everybody who may see its endpoint
GRANTED = {'Read-only': ['view'], 'Operator': ['view'], 'Owner': ['view', 'add', 'change', 'delete']}


def grant(apps: Apps, schema_editor: object) -> None:
    """Let the roles see endpoints and their log, and owners manage them."""
    groups = apps.get_model('auth', 'Group').objects.filter(name__in=GRANTED)
    for model, words in MODELS.items():
        content_type, _ = apps.get_model('contenttypes', 'ContentType').objects.get_or_create(
            app_label='files_app', model=model
        )
        permissions = {
            action: apps.get_model('auth', 'Permission').objects.get_or_create(
                content_type=content_type, codename=f'{action}_{model}', defaults={'name': f'Can {action} {words}'}
            )[0]
            for action in ('view', 'add', 'change', 'delete')
        }
        for group in groups:
            group.permissions.add(*(permissions[action] for action in GRANTED[group.name]))


class Migration(migrations.Migration):

    dependencies = [
        ('files_app', '0031_usage'),
    ]

    operations = [
        migrations.AddField(
            model_name='organization',
            name='quota_told',
            field=models.PositiveSmallIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name='provideraccount',
            name='told_failing_at',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.CreateModel(
            name='WebhookEndpoint',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=64, validators=[django.core.validators.RegexValidator('\\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\\Z', 'Use 1 to 64 letters, digits, dots, hyphens or underscores, beginning with a letter or digit.')])),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False)),
                ('url', models.CharField(max_length=2048, verbose_name='URL')),
                ('kinds', models.JSONField(default=files_app.models.webhooks.all_kinds)),
                ('secrets', models.TextField(editable=False)),
                ('overlap_ends_at', models.DateTimeField(editable=False, null=True)),
                ('is_enabled', models.BooleanField(default=True)),
                ('disabled_reason', models.CharField(blank=True, editable=False, max_length=200)),
                ('is_operators', models.BooleanField(default=False, editable=False)),
                ('failures', models.PositiveIntegerField(default=0, editable=False)),
                ('paused_until', models.DateTimeField(editable=False, null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('organization', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='webhook_endpoints', to='files_app.organization')),
            ],
            options={
                'ordering': ['organization', 'name'],
                'constraints': [models.UniqueConstraint(fields=('organization', 'name'), name='one_endpoint_of_a_name')],
            },
        ),
        migrations.CreateModel(
            name='WebhookDelivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('message_id', models.CharField(max_length=64)),
                ('kind', models.CharField(max_length=32)),
                ('payload', models.TextField()),
                ('state', models.CharField(choices=[('pending', 'Pending'), ('delivered', 'Delivered'), ('dead', 'Dead')], default='pending', max_length=16)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('next_attempt_at', models.DateTimeField(blank=True, null=True)),
                ('give_up_at', models.DateTimeField()),
                ('status_code', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('last_error', models.CharField(blank=True, max_length=500)),
                ('lease_token', models.CharField(blank=True, editable=False, max_length=32)),
                ('lease_expires_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('state_changed_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('endpoint', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='files_app.webhookendpoint')),
            ],
            options={
                'verbose_name_plural': 'webhook deliveries',
                'constraints': [models.UniqueConstraint(fields=('message_id', 'endpoint'), name='one_delivery_of_a_message')],
                'indexes': [
                    models.Index(condition=models.Q(('state', 'pending')), fields=['endpoint', 'next_attempt_at'], name='webhook_due'),
                    models.Index(fields=['endpoint', '-created_at', '-id'], name='webhook_log'),
                    models.Index(fields=['-created_at', '-id'], name='webhook_by_time'),
                ],
            },
        ),
        migrations.RunPython(grant, migrations.RunPython.noop),
    ]
