"""Operations that do not stop a running gateway."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations import AddIndex, RemoveIndex
from django.db.migrations.state import ProjectState


class AddIndexBesideWrites(AddIndexConcurrently):
    """Makes an index of a large table without stopping uploads, where the database can.

    Its migration is not atomic.
    """

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


class RemoveIndexBesideWrites(RemoveIndexConcurrently):
    """Drops an index of a large table without waiting for, and stopping, what uses it, where the database can.

    Its migration is not atomic.
    """

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        can = schema_editor.connection.vendor == 'postgresql'
        drop = RemoveIndexConcurrently if can else RemoveIndex
        drop.database_forwards(self, app_label, schema_editor, from_state, to_state)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        can = schema_editor.connection.vendor == 'postgresql'
        drop = RemoveIndexConcurrently if can else RemoveIndex
        drop.database_backwards(self, app_label, schema_editor, from_state, to_state)
