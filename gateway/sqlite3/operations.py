"""Times as SQLite holds them, written in a fraction of the time that Django takes."""

from datetime import UTC, datetime
from typing import Any

from django.db.backends.sqlite3 import operations


class DatabaseOperations(operations.DatabaseOperations):
    """Django's, which looks for each time what its zone and the connection's are."""

    def adapt_datetimefield_value(self, value: Any) -> Any:
        """Return a time as its column holds it: UTC without saying so."""
        if type(value) is datetime and value.tzinfo is UTC and self.connection.timezone is UTC:
            return value.isoformat(" ")[:-6]
        return super().adapt_datetimefield_value(value)
