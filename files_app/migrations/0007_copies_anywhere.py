from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations import AddIndex
from django.db.migrations.state import ProjectState


class AddIndexBesideWrites(AddIndexConcurrently):
    """Makes an index of a large table without stopping uploads, where the database can."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        can = schema_editor.connection.vendor == 'postgresql'
        make = AddIndexConcurrently if can else AddIndex
        make.database_forwards(self, app_label, schema_editor, from_state, to_state)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        can = schema_editor.connection.vendor == 'postgresql'
        make = AddIndexConcurrently if can else AddIndex
        make.database_backwards(self, app_label, schema_editor, from_state, to_state)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('files_app', '0006_places'),
    ]

    operations = [
        AddIndexBesideWrites(
            model_name='filecopy',
            index=models.Index(fields=['remote_id'], name='copy_anywhere'),
        ),
    ]
