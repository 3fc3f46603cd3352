from django.db import migrations, models

from files_app.migrations._online import AddIndexBesideWrites, RemoveIndexBesideWrites


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('files_app', '0013_due_times'),
    ]

    operations = [
        AddIndexBesideWrites(
            model_name='filecopy',
            index=models.Index(
                condition=models.Q(('state', 'deleting')),
                fields=['account', 'next_attempt_at'],
                name='copy_due_by_account',
            ),
        ),
        RemoveIndexBesideWrites(model_name='filecopy', name='copy_due_deletes'),
    ]
