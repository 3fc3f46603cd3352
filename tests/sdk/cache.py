"""Clients that are no dependency of ours: fetched once a machine, into the temporary directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

CACHE = Path(tempfile.gettempdir()) / f"files-gateway-clients-{os.getuid()}"


def cached(name: str, fetch: Callable[[Path], None]) -> Path:
    """Return the directory `name` of the cache, filled by `fetch` when it is not there yet.

    Without a network the test is skipped; REQUIRE_SERVICES=1 makes it fail instead.
    """
    target = CACHE / name
    if target.exists():
        return target
    CACHE.mkdir(mode=0o700, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=CACHE, prefix=f"{name}-"))
    try:
        fetch(draft)
        draft.rename(target)
    except subprocess.CalledProcessError as exc:
        message = f"{name} could not be fetched: {exc.stderr[-500:]}"
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail(message)
        pytest.skip(message)
    except OSError:  # a parallel test process was faster
        if not target.exists():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def run(*command: str | Path, cwd: Path, seconds: float = 300, **environment: str) -> str:
    """Run a program to its end and return what it printed. Raises CalledProcessError."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=True,
    )
    return done.stdout


def pip(*arguments: str | Path, cwd: Path) -> None:
    quiet = ("-q", "--disable-pip-version-check", "--no-input")
    run(sys.executable, "-m", "pip", *arguments, *quiet, cwd=cwd)


def npm_install(*packages: str) -> Callable[[Path], None]:
    """Return what fills a directory with npm packages."""

    def fetch(directory: Path) -> None:
        run(
            "npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", ".", *packages, cwd=directory
        )

    return fetch
