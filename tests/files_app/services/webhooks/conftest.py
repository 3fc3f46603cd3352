"""Fixtures of the tests of webhooks."""

from tests.files_app.webhooks import endpoint, private, receiver, secret

__all__ = ["endpoint", "private", "receiver", "secret"]
