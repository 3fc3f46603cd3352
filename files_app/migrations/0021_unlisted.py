from django.db import migrations, models

from files_app.migrations._online import AddIndexBesideWrites


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('files_app', '0020_growth'),
    ]

    operations = [
        migrations.AddField(
            model_name='filecopy',
            name='unlisted_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        AddIndexBesideWrites(
            model_name='filecopy',
            index=models.Index(
                condition=models.Q(('state', 'deleted'), ('unlisted_at__isnull', True)),
                fields=['account', 'id'],
                name='copy_maybe_listed',
            ),
        ),
        AddIndexBesideWrites(
            model_name='filecopy',
            index=models.Index(
                condition=models.Q(('state', 'deleted'), ('unlisted_at__isnull', False)),
                fields=['state_changed_at', 'id'],
                name='copy_unlisted',
            ),
        ),
    ]
