# What one types here. The first call makes a virtual environment in .venv; later calls are quick.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
# A file stays in one process, but in tests/integration, where conftest.py says which do. What waits for servers half of the time
# takes a process more than there are cores.
SIDE_BY_SIDE := $(BIN)/pytest --dist=loadfile --numprocesses
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help demo up check static unit test integration chaos-short chaos e2e processes containers image sbom bench secrets certs contract format lock clean

help: ## Say what can be done
	@grep -hE '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

demo: $(READY) ## Import three versions of a real model and show what is known of them
	@$(BIN)/modelkin demo

up: $(READY) ## Run everything on this machine until Ctrl-C
	@$(BIN)/modelkin up

check: $(READY) ## Format, lint, types, import contracts, unit and contract tests: a minute and a half
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target static unit

static: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(READY)
	$(SIDE_BY_SIDE) 2 tests/unit tests/contract

test: check integration chaos-short e2e ## Everything, on real servers and real processes

integration: $(READY) ## The services on real servers, in this process
	$(BIN)/pytest --numprocesses 3 tests/integration

chaos-short: $(READY)
	$(SIDE_BY_SIDE) 2 tests/chaos

chaos: $(READY) ## Kill, stop and cut off everything at random, then prove that nothing was lost: DURATION= seconds, SEED=
	$(BIN)/python -m tests.chaos --duration $(or $(DURATION),1200) $(if $(SEED),--seed $(SEED))

e2e: $(READY) ## The whole system as processes, and in containers, from outside
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target processes containers

processes: $(READY)
	$(SIDE_BY_SIDE) 3 tests/e2e

containers: $(READY)
	$(BIN)/pytest tests/compose

VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
COMMITTED = $(shell git log -1 --format=%ct)

image: ## Build modelkin:local; from the same commit, with the same files in it
	docker build --tag modelkin:local --file deploy/Dockerfile --build-arg VERSION=$(VERSION) \
		--build-arg REVISION=$(shell git rev-parse HEAD) --build-arg SOURCE_DATE_EPOCH=$(COMMITTED) \
		--build-arg CREATED=$(shell date --utc --date=@$(COMMITTED) +%FT%TZ) .

sbom: $(READY) ## Write sbom.cdx.json, what the image is made of, as CycloneDX
	@$(PIP) install --dry-run --ignore-installed --require-hashes --requirement deploy/requirements.txt --report - \
		| $(BIN)/python -m deploy.sbom $(VERSION) > sbom.cdx.json

bench: $(READY) ## Round trips, rates, copies, object storage, memory, inspection: ratios and counts
	$(BIN)/python -m tests.bench

secrets: $(READY) ## Passwords, users of NATS and certificates for deploy/secrets: WORKSPACE= another workspace
	@$(BIN)/python -m deploy.secrets $(if $(WORKSPACE),--workspace $(WORKSPACE))
	@$(BIN)/python -m deploy.certs

certs: $(READY) ## A private CA and certificates of NATS and MongoDB; DAYS=, RENEW=1
	@$(BIN)/python -m deploy.certs $(if $(DAYS),--days $(DAYS)) $(if $(RENEW),--renew)

contract: $(READY) ## Write docs/asyncapi.json, the JSON schemas and the table of variables in docs/ anew from their classes
	$(BIN)/modelkin asyncapi > docs/asyncapi.json
	$(BIN)/python -m services.importer.templates.documents docs
	$(BIN)/python -m deploy.variables docs

format: $(READY) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

LOCK := CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-options

lock: $(READY) ## Resolve the locked requirements anew; to raise what is pinned, delete it there first
	$(LOCK) -o deploy/requirements.txt pyproject.toml
	$(LOCK) --only-build-deps --build-deps-for wheel -o deploy/requirements-build.txt pyproject.toml
	$(LOCK) --extra embedded --extra dev --build-deps-for editable -c deploy/requirements.txt -o requirements-dev.txt pyproject.toml

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# Debian keeps `venv` in a package of its own; where it is missing and this is root, it is installed.
$(READY): requirements-dev.txt pyproject.toml
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Modelkin needs Python 3.11 or newer" >&2; exit 1; }
	@python3 -c 'import ensurepip' 2>/dev/null || { [ "$$(id -u)" = 0 ] && apt-get -qq update && apt-get -qq install -y python3-venv; } \
		|| { echo "Python's venv is missing: apt-get install python3-venv" >&2; exit 1; }
	@echo "making $(VENV) (once)"
	@python3 -m venv --clear $(VENV)
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@
