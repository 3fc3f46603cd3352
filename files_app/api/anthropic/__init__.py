"""Anthropic's Files API: a second dialect of the same routes and services, told apart by its version header.

Source: platform.claude.com/docs/en/api/files and the official SDKs 1.17.0 and 2.12.0, read 2026-11-23.
"""
