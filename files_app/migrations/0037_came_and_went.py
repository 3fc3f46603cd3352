import django.db.models.functions.comparison
from django.db import migrations, models

from files_app.migrations._online import AddIndexBesideWrites


class Migration(migrations.Migration):
    """When bytes began and ceased to count, where the order of lists does not say it."""

    atomic = False

    dependencies = [
        ('files_app', '0036_levels'),
    ]

    operations = [
        AddIndexBesideWrites(
            model_name='file',
            index=models.Index(condition=models.Q(('stored_from__lt', models.F('indexed_at')), ('stored_from__gt', models.F('indexed_at')), _connector='OR'), fields=['stored_from'], name='file_came'),
        ),
        AddIndexBesideWrites(
            model_name='file',
            index=models.Index(django.db.models.functions.comparison.Coalesce('stored_until', 'state_changed_at'), condition=models.Q(('state__in', ('trashed', 'deleting', 'deleted', 'lost'))), name='file_went'),
        ),
    ]
