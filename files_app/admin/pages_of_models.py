"""Registers the page of every model."""

from files_app.admin import accounts, audit, deletions, files, keys, organizations, users

__all__ = ["accounts", "audit", "deletions", "files", "keys", "organizations", "users"]
