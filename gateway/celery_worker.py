"""`python -m gateway.celery_worker`: a worker, without Celery's command line, whose other commands are 25 MB.

It makes no system checks: `manage.py run` does, and they would load the admin.
"""

import os
import sys
import warnings

from gateway.celery import app


def main() -> int:
    """Work until a signal, and return the exit code."""
    os.environ["CELERY_SKIP_CHECKS"] = "true"
    # Celery warns root because of pickle, which CELERY_ACCEPT_CONTENT leaves out.
    warnings.filterwarnings("ignore", "You're running the worker with superuser privileges")
    worker = app.Worker(quiet=True, without_gossip=True, without_mingle=True, without_heartbeat=True)
    worker.start()
    return int(worker.exitcode or 0)


if __name__ == "__main__":
    sys.exit(main())
