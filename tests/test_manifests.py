"""The files under deploy/ for containers, clusters and systemd: valid, complete, and locked down.

They are held against schemas and rules. Nothing is run: that needs a container engine, a cluster, an init.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from django.conf import settings

from gateway import programs
from tests.stack import PROJECT, inherited_environment

DEPLOY = PROJECT / "deploy"
PARTS = ["setup", *programs.PROGRAMS]
KUBERNETES = ["1.29", "1.37"]  # the oldest and the newest that the manifests are for


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def test_every_yaml_file_is_yaml() -> None:
    names = [path.relative_to(DEPLOY) for path in DEPLOY.rglob("*.yaml")]
    assert len(names) >= 7
    for name in names:
        assert all(documents(str(name))), name


# -- Compose ---------------------------------------------------------------------------------------------


def interpolated(text: str, environment: Mapping[str, str]) -> str:
    """Replace `${NAME:-default}` and `${NAME:?message}` as Compose does.

    KeyError: a name without a default is missing or empty.
    """

    def value(found: re.Match[str]) -> str:
        name, operator, word = found.groups()
        if given := environment.get(name):
            return given
        if operator == ":-":
            return word
        raise KeyError(name)

    return re.sub(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}", value, text)


def example_environment() -> dict[str, str]:
    text = (DEPLOY / "compose.env.example").read_text()
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE))


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The Compose file as it is with two passwords set."""
    environment = {
        **example_environment(),
        "POSTGRES_PASSWORD": "pg-secret",
        "REDIS_PASSWORD": "redis-secret",
    }
    document = yaml.safe_load(interpolated((DEPLOY / "compose.yaml").read_text(), environment))
    assert isinstance(document, dict)
    return document


def test_compose_is_valid(compose: dict[str, Any]) -> None:
    jsonschema.validate(compose, get_builtin_schema("vendor.compose-spec"))


def test_compose_runs_every_part(compose: dict[str, Any]) -> None:
    commands = [service.get("command") for service in compose["services"].values()]
    for part in programs.PROGRAMS:
        assert ["run", part] in commands
    assert all(service["read_only"] for service in compose["services"].values() if "build" in service)


@pytest.mark.parametrize("name", ["POSTGRES_PASSWORD", "REDIS_PASSWORD"])
def test_compose_starts_nothing_without_passwords(name: str) -> None:
    environment = {"POSTGRES_PASSWORD": "given", "REDIS_PASSWORD": "given", name: ""}
    text = (DEPLOY / "compose.yaml").read_text()
    assert set(re.findall(rf"\$\{{{name}(:[-?])?", text)) == {":?"}  # nowhere a default
    with pytest.raises(KeyError, match=name):
        interpolated(text, environment)
    assert example_environment()[name] == ""


def test_compose_gives_both_sides_the_same_passwords(compose: dict[str, Any]) -> None:
    services = compose["services"]
    web, redis = services["web-1"]["environment"], services["redis"]
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"] == "pg-secret"
    assert "gateway:pg-secret@postgres" in web["DATABASE_URL"]
    assert redis["command"][redis["command"].index("--requirepass") + 1] == "redis-secret"
    assert redis["environment"]["REDISCLI_AUTH"] == "redis-secret"
    for name in ("CELERY_BROKER_URL", "THROTTLE_STORAGE_URL"):
        assert web[name].startswith("redis://:redis-secret@redis:6379/")


def test_nothing_but_the_gateway_reaches_database_and_broker(compose: dict[str, Any]) -> None:
    assert compose["networks"]["data"]["internal"] is True
    for name, service in compose["services"].items():
        networks = set(service.get("networks", ["default"]))
        assert networks == {"nginx": {"default"}, "postgres": {"data"}, "redis": {"data"}}.get(
            name, {"default", "data"}
        ), name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_compose_serves_from_one_node_while_the_other_is_made_anew(compose: dict[str, Any]) -> None:
    nodes = {
        name: each for name, each in compose["services"].items() if each.get("command") == ["run", "web"]
    }
    assert len(nodes) == 2
    upstream = (DEPLOY / "nginx" / "compose.conf").read_text()
    servers = re.findall(r"^ *server (\S+):8000 resolve max_fails=0;$", upstream, re.MULTILINE)
    assert sorted(servers) == sorted(nodes)
    for node in nodes.values():
        grace = int(node["environment"]["SHUTDOWN_GRACE_SECONDS"])
        stop = settings.SHUTDOWN_DRAIN_SECONDS + grace + programs.MARGIN_SECONDS
        assert stop < int(node["stop_grace_period"].removesuffix("s"))


@pytest.mark.parametrize("name", ["upstream.conf", "compose.conf"])
def test_nginx_ends_idle_connections_before_a_server_that_stops_does(name: str) -> None:
    text = (DEPLOY / "nginx" / name).read_text()
    (seconds,) = re.findall(r"^ *keepalive_timeout (\d+)s;", text, re.MULTILINE)
    assert int(seconds) < settings.SHUTDOWN_DRAIN_SECONDS


def test_no_example_has_a_password() -> None:
    for path in [*DEPLOY.rglob("*example*"), DEPLOY / "compose.yaml"]:
        for password in re.findall(r"://\w*:([^@\s]+)@", path.read_text()):
            assert re.fullmatch(r"<password>|\$\{\w+:\?.*\}", password), path.name


# -- the image -------------------------------------------------------------------------------------------


def dockerfile() -> str:
    """Return the Dockerfile with each instruction on one line."""
    return (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")


def test_the_image_holds_what_runs() -> None:
    copied = {
        name
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile(), re.MULTILINE)
        for name in line.split()
    }
    allowed = re.findall(r"^!(\S+)$", (PROJECT / ".dockerignore").read_text(), re.MULTILINE)
    assert copied == set(allowed)
    assert all((PROJECT / name).exists() for name in copied)
    assert {"gateway", "files_app", "providers", "templates", "manage.py"} <= copied
    assert re.search(r"^USER 10001", dockerfile(), re.MULTILINE)


def test_the_image_installs_the_lock_on_a_base_of_the_operators_choice() -> None:
    (install,) = re.findall(r"^RUN .*pip install.*$", dockerfile(), re.MULTILINE)
    assert "--require-hashes -r requirements.lock" in install
    assert set(re.findall(r"^FROM (\S+)", dockerfile(), re.MULTILINE)) == {"${BASE_IMAGE}"}
    (base,) = re.findall(r"^ARG BASE_IMAGE=(\S+)$", dockerfile(), re.MULTILINE)
    assert f"${{BASE_IMAGE:-{base}}}" in (DEPLOY / "compose.yaml").read_text()


# -- Kubernetes ------------------------------------------------------------------------------------------


def manifests() -> list[dict[str, Any]]:
    """Return what the kustomization applies."""
    (kustomization,) = documents("kubernetes/kustomization.yaml")
    return [item for name in kustomization["resources"] for item in documents(f"kubernetes/{name}")]


def pods() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield name, labels and specification of every pod."""
    for item in manifests():
        if template := item.get("spec", {}).get("template"):
            yield item["metadata"]["name"], template["metadata"]["labels"], template["spec"]


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    expressions = selector.get("matchExpressions", [])
    assert all(each["operator"] == "In" for each in expressions)
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(each["key"]) in each["values"] for each in expressions
    )


@pytest.mark.parametrize("version", KUBERNETES)
def test_the_manifests_are_valid(version: str) -> None:
    for item in [*manifests(), *documents("kubernetes/secret.example.yaml")]:
        kubernetes_validate.validate(item, version, strict=True)


def test_the_cluster_runs_every_part_and_every_manifest_is_applied() -> None:
    deployments = [item for item in manifests() if item["kind"] == "Deployment"]
    assert sorted(item["metadata"]["name"] for item in deployments) == sorted(programs.PROGRAMS)
    for item in deployments:
        (container,) = item["spec"]["template"]["spec"]["containers"]
        assert container["args"] == ["run", item["metadata"]["name"]]
    (kustomization,) = documents("kubernetes/kustomization.yaml")
    apart = {"kustomization.yaml", "config.yaml", "secret.example.yaml"}
    assert {path.name for path in (DEPLOY / "kubernetes").iterdir()} == {*kustomization["resources"], *apart}


def test_every_pod_is_restricted() -> None:
    found = list(pods())
    assert sorted(name for name, _, _ in found) == sorted(PARTS)
    for name, _, spec in found:
        assert spec["automountServiceAccountToken"] is False, name
        assert (
            spec["securityContext"].items()
            >= {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            }.items()
        ), name
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "readOnlyRootFilesystem": True,
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }, name
    (namespace,) = (item for item in manifests() if item["kind"] == "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_a_policy_denies_every_pod_what_no_policy_allows() -> None:
    policies = [item["spec"] for item in manifests() if item["kind"] == "NetworkPolicy"]
    for name, labels, _ in pods():
        mine = [each for each in policies if selects(each["podSelector"], labels)]
        assert {"Ingress", "Egress"} <= {kind for each in mine for kind in each["policyTypes"]}, name
        # An empty rule allows everything, and a rule without ports every port.
        assert all(
            rule.get("ports")
            for each in mine
            for kind in ("ingress", "egress")
            for rule in each.get(kind, [])
        )
        assert {
            port["port"] for each in mine for rule in each.get("egress", []) for port in rule["ports"]
        } == {
            53,
            443,
            5432,
            6379,
        }, name
        assert any(rule["from"] for each in mine for rule in each.get("ingress", [])) == (name == "web"), name


def test_no_pod_reaches_the_metadata_service() -> None:
    blocks = [
        peer["ipBlock"]
        for item in manifests()
        if item["kind"] == "NetworkPolicy"
        for rule in item["spec"].get("egress", [])
        for peer in rule.get("to", [])
        if "ipBlock" in peer
    ]
    assert blocks
    assert {"169.254.0.0/16", "fe80::/10"} <= {each for block in blocks for each in block["except"]}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kustomize_builds_it() -> None:
    done = subprocess.run(
        ["kubectl", "kustomize", str(DEPLOY / "kubernetes")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    kinds = [item["kind"] for item in yaml.safe_load_all(done.stdout)]
    assert kinds.count("Deployment") == 2


def web_pod() -> dict[str, Any]:
    (spec,) = (spec for name, _, spec in pods() if name == "web")
    return spec


def configured(name: str) -> int:
    (kustomization,) = documents("kubernetes/kustomization.yaml")
    literals = kustomization["configMapGenerator"][0]["literals"]
    (value,) = (each.partition("=")[2] for each in literals if each.startswith(f"{name}="))
    return int(value)


def test_a_pod_is_left_alone_until_its_transfers_have_ended() -> None:
    spec = web_pod()
    (container,) = spec["containers"]
    sleep, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    assert sleep == "sleep"
    stop = int(seconds) + configured("SHUTDOWN_DRAIN_SECONDS") + configured("SHUTDOWN_GRACE_SECONDS")
    assert stop + programs.MARGIN_SECONDS < spec["terminationGracePeriodSeconds"]


def test_readiness_goes_off_while_a_pod_that_stops_still_serves() -> None:
    (container,) = web_pod()["containers"]
    ready, alive = container["readinessProbe"], container["livenessProbe"]
    assert (ready["httpGet"]["path"], alive["httpGet"]["path"]) == ("/readyz", "/healthz")
    failures = ready.get("failureThreshold", 3)
    assert ready["periodSeconds"] * failures < configured("SHUTDOWN_DRAIN_SECONDS")


def test_a_rollout_and_a_drain_take_one_pod_at_a_time() -> None:
    budgets = {
        item["metadata"]["name"]: item["spec"]
        for item in manifests()
        if item["kind"] == "PodDisruptionBudget"
    }
    replicated = {
        item["metadata"]["name"]: item["spec"]
        for item in manifests()
        if item["kind"] == "Deployment" and item["spec"]["replicas"] > 1
    }
    assert {"web", "worker"} == set(budgets) == set(replicated)
    for name, budget in budgets.items():
        assert budget["maxUnavailable"] == 1
        assert budget["selector"]["matchLabels"] == replicated[name]["selector"]["matchLabels"]
    assert replicated["web"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


# -- systemd ---------------------------------------------------------------------------------------------


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """A folder with the units, as if this project were installed where they expect it."""
    folder = tmp_path / "units"
    shutil.copytree(DEPLOY / "systemd", folder)
    for path in folder.glob("*.service"):
        path.write_text(path.read_text().replace("/opt/files-gateway", str(PROJECT)))
    return folder


def analyze(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "--no-pager", *arguments]
    environment = {**inherited_environment(), "SYSTEMD_UNIT_PATH": f"{folder}:"}  # before those of the system
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_systemd_takes_the_units(need_service: Callable[[str], str], units: Path) -> None:
    need_service("systemd")
    paths = [str(path) for path in units.iterdir() if path.suffix in {".service", ".target"}]
    done = analyze(units, "verify", *paths)
    assert "files-gateway" not in done.stderr, done.stderr


@pytest.mark.parametrize("part", PARTS)
def test_a_unit_is_exposed_to_little(need_service: Callable[[str], str], units: Path, part: str) -> None:
    need_service("systemd")
    unit = str(units / f"files-gateway-{part}.service")
    done = analyze(units, "security", "--offline=true", "--threshold=15", unit)  # of 100
    assert done.returncode == 0, done.stdout + done.stderr


NATIVE = """
import ctypes, mmap, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE
    sys.exit(77)
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)
except PermissionError:
    pass
else:
    sys.exit("memory may be written and executed")
import boto3, django, granian, google_crc32c, psycopg, rs_bpe, ssl, yaml
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric import rsa
from google.cloud import storage
box = Fernet(Fernet.generate_key())
assert box.decrypt(box.encrypt(b"text")) == b"text"
rsa.generate_private_key(65537, 2048)
assert google_crc32c.value(b"text") and psycopg.pq.__impl__ == "binary"
ssl.create_default_context()
boto3.client("s3", region_name="eu-west-1")
assert ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 7)() == 7
"""


def test_native_code_needs_no_memory_that_is_written_and_executed() -> None:
    assert "MemoryDenyWriteExecute=true\n" in hardening()
    done = subprocess.run([sys.executable, "-c", NATIVE], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("this kernel cannot forbid it")
    assert done.returncode == 0, done.stderr


def hardening() -> str:
    return (DEPLOY / "systemd" / "files-gateway-.service.d" / "hardening.conf").read_text()


def test_systemd_waits_until_running_transfers_have_ended() -> None:
    unit = (DEPLOY / "systemd" / "files-gateway-web.service").read_text()
    environment = (DEPLOY / "systemd" / "files-gateway.env.example").read_text()
    (timeout,) = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    (grace,) = re.findall(r"^SHUTDOWN_GRACE_SECONDS=(\d+)$", environment, re.MULTILINE)
    assert int(timeout) > settings.SHUTDOWN_DRAIN_SECONDS + int(grace) + programs.MARGIN_SECONDS


def test_the_procfile_and_the_units_run_every_part() -> None:
    procfile = (DEPLOY / "Procfile").read_text()
    for part in programs.PROGRAMS:
        assert f"{part}: .venv/bin/python manage.py run {part}\n" in procfile
        unit = (DEPLOY / "systemd" / f"files-gateway-{part}.service").read_text()
        assert f"manage.py run {part}\n" in unit
