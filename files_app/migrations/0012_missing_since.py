from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('files_app', '0011_heartbeat_reports'),
    ]

    operations = [
        migrations.AddField(
            model_name='filecopy',
            name='missing_since',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
    ]
