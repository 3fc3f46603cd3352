from django.apps.registry import Apps
from django.db import migrations, models
from django.db.models import Q


def name_accounts(apps: Apps, schema_editor: object) -> None:
    """Holds that stand name their accounts by what these are called now."""
    hold_model, account = apps.get_model('files_app', 'LegalHold'), apps.get_model('files_app', 'ProviderAccount')
    for hold in hold_model.objects.filter(lifted_at=None, filters__has_key='provider'):
        known = account.objects.filter(Q(organization=hold.organization_id) | Q(organization=None))
        hold.accounts.set(known.filter(name=hold.filters['provider']))


class Migration(migrations.Migration):

    dependencies = [
        ('files_app', '0033_file_jobs'),
    ]

    operations = [
        migrations.AddField(
            model_name='legalhold',
            name='accounts',
            field=models.ManyToManyField(editable=False, related_name='+', to='files_app.provideraccount'),
        ),
        migrations.RunPython(name_accounts, migrations.RunPython.noop, elidable=True),
    ]
