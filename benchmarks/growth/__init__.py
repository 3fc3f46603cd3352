"""A full index in PostgreSQL, and what requests, background work and the admin cost on it; run with `make growth`."""
