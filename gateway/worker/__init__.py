"""The worker process: Celery listens for hints, beat looks for what is due, a lane of threads does it."""
