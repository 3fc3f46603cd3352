import django.core.validators
import django.db.models.deletion
from django.apps.registry import Apps
from django.db import migrations, models

REASONS = ('user', 'expired', 'lost', 'admin', 'retention')
MODEL = 'retentionrule'
#: role -> what it may do
GRANTED = {'Read-only': ['view'], 'Operator': ['view'], 'Owner': ['view', 'add', 'change', 'delete']}


def seconds(least: int) -> models.Field:  # type: ignore[type-arg]  # nothing is read of it
    bounds = [django.core.validators.MinValueValidator(least), django.core.validators.MaxValueValidator(1576800000)]
    return models.PositiveIntegerField(blank=True, null=True, validators=bounds)


def grant(apps: Apps, schema_editor: object) -> None:
    """Let the roles see rules, and owners change them."""
    content_type, _ = apps.get_model('contenttypes', 'ContentType').objects.get_or_create(
        app_label='files_app', model=MODEL
    )
    permissions = {
        action: apps.get_model('auth', 'Permission').objects.get_or_create(
            content_type=content_type, codename=f'{action}_{MODEL}', defaults={'name': f'Can {action} retention rule'}
        )[0]
        for action in ('view', 'add', 'change', 'delete')
    }
    for group in apps.get_model('auth', 'Group').objects.filter(name__in=GRANTED):
        group.permissions.add(*(permissions[action] for action in GRANTED[group.name]))


class Migration(migrations.Migration):

    dependencies = [
        ('files_app', '0029_trash'),
    ]

    operations = [
        migrations.AlterField(
            model_name='file',
            name='deleted_reason',
            field=models.CharField(blank=True, choices=[(reason, reason.title()) for reason in REASONS], max_length=16),
        ),
        migrations.CreateModel(
            name='RetentionRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('purpose', models.CharField(blank=True, max_length=64)),
                ('default_expiry_seconds', seconds(3600)),
                ('longest_life_seconds', seconds(3600)),
                ('failed_after_seconds', seconds(86400)),
                ('lost_after_seconds', seconds(86400)),
                ('keep_audit_days', models.PositiveIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(36500)])),
                ('account', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='retention_rules', to='files_app.provideraccount')),
                ('organization', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='retention_rules', to='files_app.organization')),
            ],
            options={
                'ordering': ['organization', 'account', 'purpose'],
                'constraints': [
                    models.UniqueConstraint(condition=models.Q(('account__isnull', True)), fields=('organization', 'purpose'), name='one_rule_of_a_purpose', violation_error_message='There is a rule for this purpose already.'),
                    models.UniqueConstraint(condition=models.Q(('account__isnull', False), ('organization__isnull', False)), fields=('organization', 'account', 'purpose'), name='one_rule_of_an_account', violation_error_message='There is a rule for this account and purpose already.'),
                    models.UniqueConstraint(condition=models.Q(('organization__isnull', True)), fields=('account', 'purpose'), name='one_rule_for_everybody', violation_error_message='There is a rule for this account and purpose already.'),
                    models.CheckConstraint(condition=models.Q(('organization__isnull', False), ('account__isnull', False), _connector='OR'), name='a_rule_is_for_somebody', violation_error_message='A rule is for an organization or for an account.'),
                    models.CheckConstraint(condition=models.Q(('keep_audit_days', None), models.Q(('account', None), ('purpose', '')), _connector='OR'), name='audit_is_kept_for_all', violation_error_message='How long audit events are kept is said for a whole organization.'),
                ],
            },
        ),
        migrations.RunPython(grant, migrations.RunPython.noop),
    ]
