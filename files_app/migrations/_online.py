"""Operations that do not stop a running gateway."""

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import DatabaseError
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations import AddIndex, AlterField, RemoveIndex, RunSQL
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


class DropForeignKeyIndexBesideWrites(AlterField):
    """Gives a foreign key `db_index=False`, and drops the index that it had; the constraint stays.

    Its migration is not atomic.
    """

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        connection = schema_editor.connection
        if not self.allow_migrate_model(connection.alias, to_state.apps.get_model(app_label, self.model_name)):
            return
        beside = 'CONCURRENTLY ' if connection.vendor == 'postgresql' else ''
        for name in self._indexes(app_label, schema_editor, from_state):
            schema_editor.execute(f'DROP INDEX {beside}IF EXISTS {schema_editor.quote_name(name)}')

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            field = model._meta.get_field(self.name)
            schema_editor.execute(schema_editor._create_index_sql(model, fields=[field]))  # type: ignore[attr-defined]  # no public one

    def _indexes(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, state: ProjectState
    ) -> list[str]:
        model = state.apps.get_model(app_label, self.model_name)
        named = {index.name for index in model._meta.indexes} | {each.name for each in model._meta.constraints}
        column = model._meta.get_field(self.name).column
        with schema_editor.connection.cursor() as cursor:
            found = schema_editor.connection.introspection.get_constraints(cursor, model._meta.db_table)
        return [
            name
            for name, facts in found.items()
            if facts['index'] and not facts['unique'] and facts['columns'] == [column] and name not in named
        ]


class PostgresIndexBesideWrites(RunSQL):
    """Makes an index that only PostgreSQL knows, beside writes.

    extension: what it needs; where that may not be created, the index is left out and the migration says so.
    Its migration is not atomic.
    """

    def __init__(self, name: str, definition: str, extension: str = '') -> None:
        self.name, self.definition, self.extension = name, definition, extension
        create = f'CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {definition}'
        super().__init__(create, f'DROP INDEX CONCURRENTLY IF EXISTS {name}')

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return type(self).__name__, [self.name, self.definition, self.extension], {}

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        if schema_editor.connection.vendor == 'postgresql' and self._has_extension(schema_editor):
            super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        if schema_editor.connection.vendor == 'postgresql':
            super().database_backwards(app_label, schema_editor, from_state, to_state)

    def _has_extension(self, schema_editor: BaseDatabaseSchemaEditor) -> bool:
        if not self.extension:
            return True
        try:
            with schema_editor.connection.cursor() as cursor:
                cursor.execute(f'CREATE EXTENSION IF NOT EXISTS {self.extension}')
        except DatabaseError as exc:
            reason = str(exc).splitlines()[0]
            print(f'\n  Without the extension {self.extension} ({reason}) there is no index {self.name}: docs/operations/scaling.md says what that means.')
            return False
        return True
