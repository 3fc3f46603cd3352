from django.db import migrations

from files_app.migrations._online import PostgresIndexBesideWrites


class Migration(migrations.Migration):
    """Keys of object stores in the order of their bytes, so that a folder is one stretch of them."""

    atomic = False

    dependencies = [
        ('files_app', '0024_uploaders'),
    ]

    operations = [
        PostgresIndexBesideWrites(
            'copy_by_key',
            "files_app_filecopy (account_id, (remote_id COLLATE \"C\")) "
            "WHERE state = 'available' AND strpos(remote_id, '/') > 0",
        ),
    ]
