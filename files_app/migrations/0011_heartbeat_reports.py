from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('files_app', '0010_status_asked'),
    ]

    # Defaults of the database: processes of the last version insert rows without these columns.
    operations = [
        migrations.AlterField(
            model_name='heartbeat',
            name='name',
            field=models.CharField(max_length=100, unique=True),
        ),
        migrations.AddField(
            model_name='heartbeat',
            name='unreadable',
            field=models.JSONField(db_default=[], default=list),
        ),
        migrations.AddField(
            model_name='heartbeat',
            name='variables',
            field=models.JSONField(db_default=[], default=list),
        ),
    ]
