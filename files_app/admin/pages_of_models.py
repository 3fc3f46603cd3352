"""Registers the page of every model."""

from files_app.admin import (
    accounts,
    audit,
    deletions,
    files,
    holds,
    jobs,
    keys,
    organizations,
    trash,
    users,
    webhooks,
)

__all__ = [
    "accounts",
    "audit",
    "deletions",
    "files",
    "holds",
    "jobs",
    "keys",
    "organizations",
    "trash",
    "users",
    "webhooks",
]
