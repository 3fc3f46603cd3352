"""How Celery listens for hints, and how often the workers look after the gateway: no operator changes it.

What a message asks for is handed over to threads at once, so Celery itself does one thing after the other.
"""

CELERY_BROKER_CONNECTION_TIMEOUT = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker works without its broker, and hears it when it is back
CELERY_BROKER_CHANNEL_ERROR_RETRY = True  # a folder that cannot be read is no reason to end
CELERY_TASK_PUBLISH_RETRY = False  # a message is only a hint: what is due is in the database
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_CREATE_MISSING_QUEUES = True
CELERY_WORKER_POOL = "solo"
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True  # none is; unset, it warns at each loss
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_TIMEZONE = "UTC"

#: Seconds between one due time and the next; `files_app/services/operations/upkeep.py` says what each does.
UPKEEP_SECONDS = {
    "outbox": 5,  # this and the next two are each worker's own
    "heartbeat": 20,
    "webhooks": 5,
    "expire_files": 30,
    "apply_retention": 60,
    "empty_trash": 60,
    "extend_holds": 30,
    "work_jobs": 10,
    "sweep_uploads": 15,
    "sync_accounts": 60,
    "tell_conditions": 30,
    "translate_results": 30,
    "index_lines": 30,
    "sweep_stores": 3_600,
    "recount_usage": 3_600,
    "settle_usage": 600,
    "prune_records": 3_600,
}
