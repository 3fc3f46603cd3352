from django.db import migrations, models

from files_app.migrations._online import AddIndexBesideWrites


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('files_app', '0009_is_operators'),
    ]

    operations = [
        migrations.AddField(
            model_name='file',
            name='status_ask_after',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        AddIndexBesideWrites(
            model_name='file',
            index=models.Index(condition=models.Q(('state', 'available'), ('status', 'uploaded')), fields=['account'], name='file_unfinished'),
        ),
    ]
