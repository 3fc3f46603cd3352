from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('files_app', '0016_batch_of_a_file'),
    ]

    operations = [
        migrations.AddField(
            model_name='file',
            name='result_part',
            field=models.CharField(blank=True, choices=[('output', 'Output'), ('errors', 'Errors')], db_default='', default='', max_length=8),
        ),
    ]
