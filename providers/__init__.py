"""Drivers for the providers' file APIs.

Nothing in this package knows a model, a view or a request: it can be used and tested without a database.
"""
