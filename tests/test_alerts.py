"""The alerts fire when they should and are silent when all is well, as Prometheus' own tool says."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.stack import PROJECT

RULES = PROJECT / "deploy" / "prometheus-alerts.yaml"
FULL = 'files_gateway_used_bytes{organization="acme"}'
QUOTA = 'files_gateway_quota_bytes{organization="acme"}'
RESERVED = 'files_gateway_reserved_bytes{organization="acme"}'
WORKERS = 'files_gateway_processes{kind="worker"}'
ACCOUNT = '{driver="openai",organization="acme",provider="main"}'

#: What is well, each for two hours: two instances tell the same.
WELL = {
    FULL: "50x120",
    RESERVED: "0x120",
    QUOTA: "100x120",
    "files_gateway_nearly_full_organizations": "0x120",
    WORKERS: "2x120",
    "files_gateway_beat_age_seconds": "3x120",
    f"files_gateway_failing_syncs{ACCOUNT}": "0x120",
    f"files_gateway_sync_age_seconds{ACCOUNT}": "60x120",
    'files_gateway_disk_free_bytes{folder="data"}': "50x120",
    'files_gateway_disk_size_bytes{folder="data"}': "100x120",
    "files_gateway_transfers": "1x120",
    "files_gateway_transfer_places": "24x120",
    'up{job="files-gateway"}': "1x120",
    'files_gateway_requests_total{status="200"}': "0+60x120",
}
CASES: Mapping[str, tuple[dict[str, str], str, dict[str, str]]] = {
    "all is well": ({}, "", {}),
    "one full organization, named": ({FULL: "96x120"}, "FilesGatewayQuota", {"organization": "acme"}),
    "one full organization, by its quota's last upload": (
        {FULL: "90x120", RESERVED: "6x120"},
        "FilesGatewayQuota",
        {"organization": "acme"},
    ),
    "one full organization without a token": (
        {"files_gateway_nearly_full_organizations": "1x120"},
        "FilesGatewayOrganizationFull",
        {},
    ),
    "no worker": ({WORKERS: "2x89 0x30"}, "FilesGatewayNoWorker", {}),
    "one silent worker": ({WORKERS: "2x99 1x20"}, "FilesGatewayWorkerSilent", {}),
    "a rolling restart of the workers": ({WORKERS: "2x99 4x3 2x20"}, "", {}),
    "a silent beat": ({"files_gateway_beat_age_seconds": "400x120"}, "FilesGatewayBeatSilent", {}),
    "a failing sync": (
        {f"files_gateway_failing_syncs{ACCOUNT}": "1x120"},
        "FilesGatewaySyncFails",
        {"driver": "openai", "organization": "acme", "provider": "main"},
    ),
    "events that were given up": (
        {'files_gateway_dead_webhooks{organization="acme"}': "2x120"},
        "FilesGatewayDeadWebhooks",
        {"organization": "acme"},
    ),
    "events that were given up, without a token": (
        {"files_gateway_dead_webhooks": "0x100 2x20"},
        "FilesGatewayDeadWebhooks",
        {},
    ),
    "events that arrive late": ({"files_gateway_late_webhooks": "2x120"}, "FilesGatewayWebhooksLate", {}),
    "an endpoint that was away for an hour and a bit": (
        {"files_gateway_late_webhooks": "0x90 2x20 0x10"},
        "",
        {},
    ),
    "an endpoint that is gone": (
        {"files_gateway_gone_webhook_endpoints": "1x120"},
        "FilesGatewayWebhookGone",
        {},
    ),
    "a stuck job": ({"files_gateway_stuck_jobs": "1x120"}, "FilesGatewayJobStuck", {}),
    "requests that fail": (
        {'files_gateway_requests_total{status="502"}': "0+6x120"},
        "FilesGatewayErrors",
        {},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_an_alert_fires(case: str, need_service: Callable[[str], str], tmp_path: Path) -> None:
    changed, alert, labels = CASES[case]
    rules = {rule["alert"]: rule for rule in yaml.safe_load(RULES.read_text())["groups"][0]["rules"]}
    expected = {name: [] for name in rules}
    if alert:
        told = {"exp_labels": {**labels, **rules[alert]["labels"]}}
        expected[alert] = [told]
        if alert == "FilesGatewayNoWorker":
            silent = rules["FilesGatewayWorkerSilent"]
            expected["FilesGatewayWorkerSilent"] = [{"exp_labels": silent["labels"]}]
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in {**WELL, **changed}.items()],
        "alert_rule_test": [
            {"eval_time": "115m", "alertname": name, "exp_alerts": alerts}
            for name, alerts in expected.items()
        ],
    }
    run_promtool(need_service("promtool"), tmp_path, test, rules)


def run_promtool(
    promtool: str, folder: Path, test: dict[str, Any], rules: Mapping[str, dict[str, Any]]
) -> None:
    """Run one test of Prometheus' tool, against the rules without their words, whose values differ."""
    bare = [{name: rule[name] for name in rule if name != "annotations"} for rule in rules.values()]
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": bare}]}))
    document = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]}
    (folder / "test.yaml").write_text(yaml.safe_dump(document))
    done = subprocess.run(
        [promtool, "test", "rules", folder / "test.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_can_be_loaded(need_service: Callable[[str], str]) -> None:
    done = subprocess.run(
        [need_service("promtool"), "check", "rules", RULES], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
