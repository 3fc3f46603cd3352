from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('files_app', '0012_missing_since'),
    ]

    operations = [
        migrations.AddField(
            model_name='file',
            name='batch',
            field=models.JSONField(blank=True, editable=False, null=True),
        ),
    ]
