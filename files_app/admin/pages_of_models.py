"""Registers the page of every model."""

from files_app.admin import accounts, audit, deletions, files, holds, keys, organizations, users

__all__ = ["accounts", "audit", "deletions", "files", "holds", "keys", "organizations", "users"]
