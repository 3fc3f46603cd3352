"""Django's PostgreSQL backend, where a connection that the server has closed costs no request its answer."""
