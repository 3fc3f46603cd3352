import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('files_app', '0035_webhooks_to_look_at'),
    ]

    operations = [
        migrations.CreateModel(
            name='MeteredUpTo',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('moment', models.DateTimeField()),
                ('listed_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='StoredLevel',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key_id', models.BigIntegerField(default=0)),
                ('account_id', models.BigIntegerField()),
                ('purpose', models.CharField(blank=True, max_length=64)),
                ('is_counted', models.BooleanField()),
                ('bytes', models.BigIntegerField(default=0)),
                ('files', models.BigIntegerField(default=0)),
                ('late_hours', models.BigIntegerField(default=0)),
                ('late_us', models.BigIntegerField(default=0)),
                ('organization', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='files_app.organization')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('organization', 'key_id', 'account_id', 'purpose', 'is_counted'), name='one_level_of_a_holder')],
            },
        ),
    ]
