import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('files_app', '0012_missing_since'),
    ]

    operations = [
        migrations.CreateModel(
            name='DueTime',
            fields=[
                ('name', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('due_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('begun_at', models.DateTimeField(null=True)),
                ('done_at', models.DateTimeField(null=True)),
            ],
        ),
    ]
