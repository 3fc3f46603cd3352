from django.db import migrations, models

from files_app.migrations._online import AddIndexBesideWrites


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('files_app', '0006_places'),
    ]

    operations = [
        AddIndexBesideWrites(
            model_name='filecopy',
            index=models.Index(fields=['remote_id'], name='copy_anywhere'),
        ),
    ]
