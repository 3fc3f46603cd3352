from django.db import migrations, models

from files_app.migrations._online import AddIndexBesideWrites


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('files_app', '0034_hold_accounts'),
    ]

    operations = [
        migrations.AddField(
            model_name='filejob',
            name='progressed_at',
            field=models.DateTimeField(null=True),
        ),
        AddIndexBesideWrites(
            model_name='webhookdelivery',
            index=models.Index(condition=models.Q(('state', 'dead')), fields=['endpoint', 'state_changed_at'], name='webhook_dead'),
        ),
    ]
