import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('files_app', '0030_retention'),
    ]

    operations = [
        migrations.CreateModel(
            name='SettledDay',
            fields=[
                ('day', models.DateField(primary_key=True, serialize=False)),
                ('settled_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
        migrations.AddField(
            model_name='file',
            name='stored_from',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='file',
            name='stored_until',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.CreateModel(
            name='StoredSpan',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key_id', models.BigIntegerField(default=0)),
                ('account_id', models.BigIntegerField()),
                ('purpose', models.CharField(blank=True, max_length=64)),
                ('bytes', models.BigIntegerField()),
                ('is_counted', models.BooleanField()),
                ('began_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(db_index=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='files_app.organization')),
            ],
        ),
        migrations.CreateModel(
            name='DailyUsage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('key_id', models.BigIntegerField(default=0)),
                ('account_id', models.BigIntegerField(default=0)),
                ('purpose', models.CharField(blank=True, default='', max_length=64)),
                ('organization_name', models.CharField(blank=True, default='', max_length=64)),
                ('key_name', models.CharField(blank=True, default='', max_length=64)),
                ('account_name', models.CharField(blank=True, default='', max_length=64)),
                ('requests', models.BigIntegerField(default=0)),
                ('files', models.BigIntegerField(default=0)),
                ('bytes_in', models.BigIntegerField(default=0)),
                ('bytes_out', models.BigIntegerField(default=0)),
                ('byte_hours', models.BigIntegerField(default=0)),
                ('adopted_byte_hours', models.BigIntegerField(default=0)),
                ('organization', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='files_app.organization')),
            ],
            options={
                'verbose_name': 'usage of a day',
                'verbose_name_plural': 'usage',
                'indexes': [models.Index(fields=['organization', 'day'], name='usage_by_organization')],
                'constraints': [models.UniqueConstraint(fields=('day', 'organization', 'key_id', 'account_id', 'purpose'), name='one_usage_of_a_day')],
            },
        ),
    ]
