from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('files_app', '0021_unlisted'),
    ]

    operations = [
        migrations.AddField(
            model_name='heartbeat',
            name='started_at',
            field=models.DateTimeField(null=True),
        ),
    ]
