"""Fills a database with organizations, files, copies and audit events, by SQL alone."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psycopg

LARGE_TABLES = ("files_app_file", "files_app_filecopy", "files_app_auditevent")
#: Which of 2 files belong to organization 1; of the rest, each has about as many.
_OWNER = (
    "CASE WHEN g % 2 = 0 OR {organizations} = 1 THEN 1"
    " ELSE 2 + (g::bigint * 7919 / 2) % ({organizations} - 1) END"
)
#: One in 50 is a tombstone, one in 500 failed, one in 20,000 waits for its provider.
_STATE = (
    "CASE WHEN g % 50 = 7 THEN 'deleted' WHEN g % 500 = 9 THEN 'failed' WHEN g % 20000 = 11 THEN 'deleting'"
    " ELSE 'available' END"
)
_MOMENT = "now() - interval '400 days' + interval '400 days' * (g::float8 / {files})"

_ORGANIZATIONS = """
INSERT INTO files_app_organization (name, is_active, quota_bytes, max_file_bytes, max_files, used_bytes,
    reserved_bytes, file_count, created_at)
SELECT 'growth-' || g, true, 1::bigint << 60, 1::bigint << 40, 0, 0, 0, 0, now() - interval '401 days'
FROM generate_series(1, {organizations}) g
"""
_ACCOUNTS = """
INSERT INTO files_app_provideraccount (uid, name, driver, options, credentials, is_default, is_enabled,
    list_freshness_seconds, is_operators, created_at, last_sync_error, sync_token, shared_reason,
    disk_segment, organization_id)
SELECT gen_random_uuid(), 'disk', 'local', jsonb_build_object('directory', 'growth-' || id), '', true, true,
    NULL, true, created_at, '', '', '', 'growth-' || id, id
FROM files_app_organization
"""
_FILES = """
INSERT INTO files_app_file (organization_id, account_id, file_id, filename, purpose, content_type, bytes,
    sha256, metadata, uri, status, status_details, state, deleted_reason, failure, is_adopted, is_withheld,
    is_counted, created_at, indexed_at, expires_at, state_changed_at, reserved_bytes, lease_token,
    lease_expires_at)
SELECT o.id, a.id, 'file-' || md5(g::text),
    CASE WHEN g % 100 = 3 THEN 'data.jsonl' ELSE 'report-' || g || '-' || g % 97 || '.jsonl' END,
    (ARRAY['batch', 'user_data', 'assistants', 'fine-tune'])[1 + g / 2 % 4],
    'application/jsonl', (g::bigint * 2654435761) % 100000000, encode(sha256(g::text::bytea), 'hex'),
    CASE WHEN g / 2 % 2 = 0 THEN '{{}}'::jsonb
        ELSE jsonb_build_object('team', 't' || g % 40, 'env', 'prod', 'run', g::text) END,
    '', CASE WHEN g % 10000 = 4 THEN 'error' ELSE 'processed' END, '', {state},
    CASE WHEN g % 50 = 7 THEN 'user' ELSE '' END, '', g % 5000 = 12, false, true,
    {moment}, {moment}, CASE WHEN g % 10 = 6 THEN now() + interval '300 days' * (g::float8 / {files}) END,
    {moment}, 0, '', NULL
FROM generate_series(1, {files}) g
JOIN files_app_organization o ON o.name = 'growth-' || ({owner})
JOIN files_app_provideraccount a ON a.organization_id = o.id
"""
_COPIES = """
INSERT INTO files_app_filecopy (file_id, account_id, remote_id, is_shared_remote, state, attempts, last_error,
    lease_token, created_at, state_changed_at, next_attempt_at)
SELECT id, account_id, CASE WHEN state = 'failed' THEN '' ELSE file_id END, false, state, 0, '', '',
    created_at, state_changed_at, CASE WHEN state = 'deleting' THEN now() + interval '1 day' END
FROM files_app_file
"""
_EVENTS = """
INSERT INTO files_app_auditevent (created_at, organization_id, actor_type, actor, action, object_type,
    object_id, account_name, result, ip, request_id, details)
SELECT f.created_at + n * interval '1 minute', f.organization_id, 'api_key', 'growth',
    CASE n WHEN 0 THEN 'file.create' ELSE 'file.content' END, 'file', f.file_id, 'disk', 'ok', '10.0.0.1',
    'req_' || md5(f.id::text || n), '{{}}'
FROM files_app_file f, generate_series(0, {events} - 1) n
"""
_COUNTERS = """
UPDATE files_app_organization o SET used_bytes = s.bytes, file_count = s.files
FROM (SELECT organization_id, sum(bytes) AS bytes, count(*) AS files FROM files_app_file
    WHERE state = 'available' GROUP BY 1) s
WHERE s.organization_id = o.id
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is. events: of each file."""

    files: int
    organizations: int
    events: int = 2


def fill(url: str, size: Size) -> dict[str, float]:
    """Fill the empty, migrated database at `url` and return the seconds that each step took.

    Indexes go first and come back at the end, which is several times as fast.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        return _fill(connection, size)


def _fill(connection: psycopg.Connection, size: Size) -> dict[str, float]:
    parts: dict[str, object] = {
        "files": size.files,
        "organizations": size.organizations,
        "events": size.events,
    }
    owner = _OWNER.format(**parts)
    parts |= {"owner": owner, "state": _STATE, "moment": _MOMENT.format(**parts)}
    took: dict[str, float] = {}
    indexes = _take_indexes(connection)
    steps = {
        "organizations": [
            _ORGANIZATIONS,
            _ACCOUNTS,
            "ANALYZE files_app_organization",
            "ANALYZE files_app_provideraccount",
        ],
        "files": [_FILES],
        "copies": [_COPIES],
        "audit events": [_EVENTS],
        "counters": [_COUNTERS],
    }
    for name, statements in steps.items():
        took[name] = _timed(connection, *(statement.format(**parts) for statement in statements))
    took["indexes"] = _timed(connection, *indexes)
    took["vacuum"] = _timed(connection, *(f"VACUUM (ANALYZE) {table}" for table in LARGE_TABLES))
    return took


def _timed(connection: psycopg.Connection, *statements: str) -> float:
    began = time.monotonic()
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    return time.monotonic() - began


def _take_indexes(connection: psycopg.Connection) -> list[str]:
    """Drop what only makes reading fast, and the checks of foreign keys; return what makes them again."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("SET maintenance_work_mem = '512MB'")
        cursor.execute("SET synchronous_commit = off")
        cursor.execute(
            "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
            " WHERE NOT indisprimary AND indrelid::regclass::text = ANY(%s)",
            [list(LARGE_TABLES)],
        )
        indexes = cursor.fetchall()
        cursor.execute(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE contype = 'f' AND conrelid::regclass::text = ANY(%s)",
            [list(LARGE_TABLES)],
        )
        keys = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
        for table, name, _ in keys:
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    made = [definition for _, definition in indexes]
    return [
        *made,
        *(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}" for table, name, definition in keys),
    ]


def index_sizes(url: str) -> list[tuple[str, int]]:
    """Return the indexes of the table of files with their bytes, the largest first."""
    with psycopg.connect(url) as connection:
        cursor = connection.execute(
            "SELECT indexrelid::regclass::text, pg_relation_size(indexrelid) FROM pg_index"
            " WHERE indrelid = 'files_app_file'::regclass ORDER BY 2 DESC"
        )
        return [(str(name), int(size)) for name, size in cursor.fetchall()]
