# `make run` starts the gateway, `make test` runs the whole suite; both do all set-up themselves.

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name) 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin
# A release that was tampered with is mostly found within days; a mend that cannot wait: make lock COOL_DOWN='0 days'
COOL_DOWN ?= 7 days
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet install --require-hashes

.PHONY: run dev demo docs test check format lint types lock audit sbom bench growth starve soak cluster cluster-test clients screenshots help
.DEFAULT_GOAL := help

help:
	@echo "make run      start web server and worker on http://127.0.0.1:8000 (PORT, DATA_DIR)"
	@echo "make dev      the same, restarted on every change, with readable logs"
	@echo "make demo     fill an empty gateway with made-up data for a look around; ARGS=--remove takes it away"
	@echo "make test     run all tests; ARGS='tests/files_app/services/uploads -x' runs some"
	@echo "make check    format, lint, types, test: what CI runs"
	@echo "make docs     build the documentation's site in site/; a link that leads nowhere fails it"
	@echo "make lock     write requirements.lock and requirements-dev.lock; ARGS='--upgrade' renews what no file pins"
	@echo "make audit    look for known vulnerabilities in what the locks name"
	@echo "make sbom     write sbom.cdx.json (CycloneDX): what a running gateway consists of"
	@echo "make bench    measure transfers, requests, starts and memory; ARGS=--save keeps the figures, for the README too"
	@echo "make growth   measure what requests and the admin cost on ten million files (30 GB of disk, PostgreSQL)"
	@echo "make starve   measure what a dead provider and slow clients do to other tenants"
	@echo "make soak     kill and check at random: SEED, ROUNDS (20 for each database), SECONDS (600 of all together)"
	@echo "make cluster  start what a larger installation has, on this machine: PORT, BROKER (redis, rabbitmq)"
	@echo "make cluster-test  let clients work while its parts are killed, frozen and rolled, and count"
	@echo "make screenshots  take the pictures of the documentation, of the demo, with Chromium"
	@echo "make clients  count which refusals reach which clients (Node, npm, Go, a JDK 17 and nginx are needed)"

$(BIN)/python:
	@command -v "$(PYTHON)" >/dev/null || { echo "error: Python 3.11 or newer is needed: install it, or name it with make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or newer is needed and $(PYTHON) is older: name a newer one with make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "error: $(PYTHON) lacks the venv module: install it (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "Creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python requirements.lock
	@echo "Installing dependencies (only when they change)"
	@$(PIP) -r requirements.lock
	@$(BIN)/python -m compileall -q gateway files_app providers # as pip does, also where Python is told to write no bytecode
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	@echo "Installing development dependencies (only when they change)"
	@$(PIP) -r requirements-dev.lock
	@touch $@

run: $(VENV)/.installed
	@$(BIN)/python manage.py run

dev: $(VENV)/.installed-dev
	@LOG_FORMAT=console $(BIN)/watchfiles --sigint-timeout 15 \
		'$(BIN)/python manage.py run' gateway files_app providers templates

demo: $(VENV)/.installed
	@$(BIN)/python manage.py demo $(ARGS)

test: $(VENV)/.installed-dev
	@$(BIN)/python -m pytest -n 4 --durations=10 $(ARGS)

docs: $(VENV)/.installed-dev
	@$(BIN)/mkdocs build --quiet --strict --site-dir site $(ARGS)

check: format lint types test

format: $(VENV)/.installed-dev
	@$(BIN)/ruff format

lint: $(VENV)/.installed-dev
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check
	@$(BIN)/lint-imports
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
		DATA_DIR=$$folder $(BIN)/python manage.py makemigrations --check --dry-run

types: $(VENV)/.installed-dev
	@$(BIN)/mypy

LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras \
	--emit-build-options --exclude-newer '$(COOL_DOWN)' --custom-compile-command 'make lock' $(ARGS)

lock: $(VENV)/.installed-dev
	@$(LOCK) --output-file requirements.lock requirements.txt
	@$(LOCK) --output-file requirements-dev.lock --constraint requirements.lock requirements-dev.txt

# Strict: without a source of advisories it would find nothing and be content.
audit: $(VENV)/.installed-dev
	@$(BIN)/pip-audit --strict --disable-pip --progress-spinner off $(ARGS) -r requirements.lock -r requirements-dev.lock

# From an environment of its own, because $(VENV) also holds what only tests need.
sbom: $(VENV)/.installed-dev
	@$(BIN)/uv venv --quiet --clear $(VENV)/runtime
	@$(BIN)/uv pip sync --quiet --require-hashes --python $(VENV)/runtime requirements.lock
	@$(BIN)/python -W ignore -m cyclonedx_py environment --pyproject pyproject.toml --output-reproducible --output-file sbom.cdx.json $(VENV)/runtime
	@echo "Wrote sbom.cdx.json"

starve: $(VENV)/.installed-dev
	@$(BIN)/python -m benchmarks.starvation $(ARGS)

soak: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.soak $(if $(SEED),--seed $(SEED)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

cluster: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.cluster run $(if $(PORT),--port $(PORT)) $(if $(BROKER),--broker $(BROKER)) $(ARGS)

cluster-test: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.cluster test $(if $(SEED),--seed $(SEED)) $(if $(BROKER),--broker $(BROKER)) $(ARGS)

bench: $(VENV)/.installed-dev
	@$(BIN)/python -m benchmarks.run $(ARGS)

growth: $(VENV)/.installed-dev
	@$(BIN)/python -m benchmarks.growth $(ARGS)

clients: $(VENV)/.installed-dev
	@$(BIN)/python -m benchmarks.refusals $(ARGS)

screenshots: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.screenshots docs/images
