"""Django's SQLite backend, where writers get their turn in the order in which they came."""
