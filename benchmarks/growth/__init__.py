"""What requests, background work and the admin cost on a full index in PostgreSQL; `make growth` runs it."""
