"""What doctor says of settings that do not fit the host, its disks or the database."""

from __future__ import annotations

import os
import resource
import shutil
import socket
from collections import namedtuple
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from files_app.models import Heartbeat
from files_app.services.operations import capacity as module
from files_app.services.operations import host
from files_app.services.operations.capacity import (
    Load,
    Sessions,
    allowed_sessions,
    capacity,
    fits_database,
    fits_host,
)
from files_app.services.operations.host import Host
from tests.files_app.cast import Tenant, make_account
from tests.files_app.pooled import other_database

GIB = 2**30
HOST = Host(cores=4, memory_bytes=4 * GIB, is_part=False, open_files=65_536)
LOAD = Load(web_processes=4, connections=1_024, transfers=48, store_transfers=0)
SESSIONS = Sessions(allowed=97, web_hosts=2, web=32, workers=2, worker=16)
Usage = namedtuple("Usage", "total used free")


def words(load: Load = LOAD, here: Host = HOST) -> str:
    found = list(fits_host(load, here))
    assert all(finding.fix and finding.level == "warning" for finding in found)
    return "\n".join(f"{finding.detail} -> {finding.fix}" for finding in found)


def here(monkeypatch: pytest.MonkeyPatch, facts: Host = HOST, free_bytes: int = 100 * GIB) -> None:
    monkeypatch.setattr(host, "look", lambda: facts)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 10**12 - free_bytes, free_bytes))


def details() -> list[str]:
    return [finding.detail for finding in capacity() if finding.level != "ok"]


@pytest.mark.parametrize(
    ("processes", "cores", "says"),
    [
        (2, 1, ""),
        (4, 2, ""),
        (5, 2, "Set WEB_WORKERS to 2"),
        (3, 0.5, "Set WEB_WORKERS to 1"),
        (2, 8, ""),
        (2, 9, "Set WEB_WORKERS to 9"),
    ],
)
def test_processes_far_from_the_number_of_cores_are_named(processes: int, cores: float, says: str) -> None:
    said = words(replace(LOAD, web_processes=processes), replace(HOST, cores=cores))
    assert says in said and bool(said) == bool(says)


def test_a_container_without_a_limit_of_cores_need_not_use_all_of_the_machine() -> None:
    assert not words(replace(LOAD, web_processes=2), replace(HOST, cores=64, is_part=True))


def test_memory_has_to_hold_all_transfers_of_all_processes() -> None:
    assert LOAD.memory_bytes == (4 * (100 + 60 + 48 * 4) + 100) * 2**20
    exact = replace(HOST, memory_bytes=LOAD.memory_bytes)
    assert not words(LOAD, exact)
    assert "lower WEB_THREADS" in words(LOAD, replace(exact, memory_bytes=LOAD.memory_bytes - 1))
    with_stores = replace(LOAD, store_transfers=16)
    assert with_stores.memory_bytes - LOAD.memory_bytes == 4 * 16 * (32 - 4) * 2**20
    assert "the configured processes may take 3.22 GiB" in words(with_stores, replace(HOST, memory_bytes=GIB))
    assert not words(with_stores, replace(HOST, memory_bytes=None))


def test_open_files_have_to_reach_for_all_clients_of_a_process() -> None:
    assert not words(LOAD, replace(HOST, open_files=1_248))
    assert "LimitNOFILE" in words(LOAD, replace(HOST, open_files=1_247))
    assert not words(LOAD, replace(HOST, open_files=None))


def test_a_host_of_workers_is_not_asked_for_what_web_servers_need() -> None:
    small = Host(cores=0.5, memory_bytes=256 * 2**20, is_part=True, open_files=1_024)
    assert not words(replace(LOAD, has_web=False), small)


def test_postgresql_has_to_allow_what_all_processes_open() -> None:
    assert not list(fits_database(SESSIONS))
    (finding,) = fits_database(replace(SESSIONS, allowed=95))
    assert "room for 95 connections" in finding.detail and "2 x 32 of web servers" in finding.detail
    assert "to allow 96" in finding.fix


@pytest.mark.django_db(transaction=True)
def test_postgresql_says_how_many_connections_it_allows(postgresql_url: str) -> None:
    with other_database(postgresql_url):
        with connection.cursor() as cursor:
            cursor.execute("SHOW max_connections")
            (most,) = cursor.fetchone()
            assert 0 < (allowed_sessions() or 0) < int(most)  # some are kept for superusers
            cursor.execute(f'ALTER DATABASE "{connection.settings_dict["NAME"]}" CONNECTION LIMIT 17')
        assert allowed_sessions() == 17
    with other_database(postgresql_url, behind_pooler=True):
        assert allowed_sessions() is None


def test_connections_of_all_hosts_that_run_are_counted(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    here(monkeypatch)
    monkeypatch.setattr(module, "allowed_sessions", lambda: 70)
    pool = {**connection.settings_dict["OPTIONS"], "pool": {"max_size": 16}}
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", pool)
    for name in "web@one", "worker@one", "worker@two":
        Heartbeat.objects.create(name=name, seen_at=timezone.now())
    assert not details()  # 2 x 16 and 2 x 16
    Heartbeat.objects.create(name="web@two", seen_at=timezone.now())
    assert "2 x 32 of web servers and 2 x 16 of workers" in details()[0]
    Heartbeat.objects.filter(name="web@two").update(seen_at=timezone.now() - timedelta(hours=1))
    assert not details()
    pool["pool"] = False  # then each thread has its own
    assert "1 x 144 of web servers and 2 x 24 of workers" in details()[0]


def test_stores_take_memory_for_their_parts(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    here(monkeypatch, replace(HOST, memory_bytes=GIB))
    assert not details()
    options = {"bucket": "files", "region": "us-east-1"}
    make_account(acme.organization, "store", "bedrock", options=options, credentials={})
    assert "the configured processes may take" in details()[0]
    Heartbeat.objects.create(name=f"worker@{socket.gethostname()[:64]}", seen_at=timezone.now())
    assert not details()  # a worker alone runs here


def test_the_uploads_of_one_key_have_room_on_the_disks_that_hold_them(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    here(monkeypatch, free_bytes=16 * GIB)
    assert not details()  # 2 x 16 uploads of 512 MiB
    here(monkeypatch, free_bytes=16 * GIB - 1)
    assert [detail.split()[0] for detail in details()] == ["DATA_DIR"]
    make_account(
        acme.organization,
        "whole",
        "fireworks",
        options={"account_id": "a"},
        credentials={"api_key": "k" * 20},
    )
    assert [detail.split()[0] for detail in details()] == ["SPOOL_DIR", "DATA_DIR"]
    settings.UPLOADS_AT_ONCE = 4
    assert not details()
    settings.UPLOADS_AT_ONCE = 0  # no limit of its own
    assert "the 32 uploads that one key may run" in details()[0]
    here(monkeypatch, free_bytes=settings.MAX_FILE_BYTES - 1)
    assert not details()  # the problem with the disk is named already


def test_all_that_fits_is_one_line(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    here(monkeypatch)
    (finding,) = capacity()
    assert (finding.level, finding.area) == ("ok", "capacity") and "4 cores" in finding.detail


# -- what the system says of the host ------------------------------------------------------------------


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that stands for `/` of a machine of eight cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (1_024, 4_096))
    return tmp_path


def system(root: Path, files: dict[str, str]) -> Host:
    meminfo = {"proc/meminfo": "MemTotal: 8388608 kB\nMemFree: 1 kB\nMemAvailable: 6291456 kB\n"}
    for name, text in {**meminfo, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return host.look(root)


def test_a_machine_without_limits_has_its_cores_and_what_memory_is_available(root: Path) -> None:
    found = system(
        root, {"proc/self/cgroup": "0::/user.slice", "sys/fs/cgroup/user.slice/cpu.max": "max 100000"}
    )
    assert found == Host(cores=8, memory_bytes=6 * GIB, is_part=False, open_files=4_096)


def test_a_container_has_what_its_control_group_and_those_around_it_allow(root: Path) -> None:
    group = "sys/fs/cgroup/pods"
    limits = {
        "proc/self/cgroup": "0::/pods/one",
        f"{group}/memory.max": str(GIB),
        f"{group}/one/memory.max": "max",
        f"{group}/one/cpu.max": "150000 100000",
    }
    found = system(root, limits)
    assert (found.cores, found.memory_bytes, found.is_part) == (1.5, GIB, False)
    (root / group / "one/cpu.max").unlink()
    found = host.look(root)
    assert (found.cores, found.is_part) == (8, True)


def test_control_groups_of_the_first_version_count_too(root: Path) -> None:
    limits = {
        "proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n1:name=systemd:/",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": str(2 * GIB),  # a container sees its own at the top
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
    }
    found = system(root, limits)
    assert (found.cores, found.memory_bytes) == (0.5, 2 * GIB)
    limits["sys/fs/cgroup/memory/memory.limit_in_bytes"] = "9223372036854771712"  # none
    limits["sys/fs/cgroup/cpu/cpu.cfs_quota_us"] = "-1"
    found = system(root, limits)
    assert (found.cores, found.memory_bytes, found.is_part) == (8, 6 * GIB, False)


def test_a_system_that_says_nothing_is_no_reason_to_fail(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (1_024, resource.RLIM_INFINITY))
    assert host.look(root) == Host(cores=8, memory_bytes=None, is_part=False, open_files=None)
