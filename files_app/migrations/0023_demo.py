from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('files_app', '0022_heartbeat_started'),
    ]

    # A default of the database: processes of the last version insert rows without this column.
    operations = [
        migrations.AddField(
            model_name='organization',
            name='is_demo',
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
    ]
