from collections.abc import Iterator

import pytest
import structlog
from django.conf import settings

from files_app.observability import logs


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """Undo what a test configures, and forget the request it pretended to be in."""
    yield
    logs.configure(settings.LOGGING)
    structlog.contextvars.clear_contextvars()
