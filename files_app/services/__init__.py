"""Flows that touch both the database and a provider; the API, the admin, tasks and commands call these."""
