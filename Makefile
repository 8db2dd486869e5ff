# What a newcomer types: `make demo`, then `make test`. `make help` lists the rest.
# Everything is installed into .venv, from requirements/*.txt, by hash; nothing needs root.

SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
# Files of tests that run at the same time. Most wait for servers, so one more than two cores pays.
JOBS ?= 3
# In the order of their folders: acceptance, whose files take minutes, begins, and small ones fill the end.
SPREAD := -n $(JOBS) --dist loadfile --no-loadscope-reorder
RUNTIME := .venv/.runtime-installed
DEV := .venv/.dev-installed
# A child that Python forks while gRPC is at work crashes in gRPC's own handlers (one in seven) unless told not to prepare.
export GRPC_ENABLE_FORK_SUPPORT := false

.PHONY: help setup kafka demo demo-fix test test-fast test-root bench trivy quality chaos fuzz lint protos clean
.DEFAULT_GOAL := help

help: ## Lists these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

setup: $(RUNTIME) ## Creates .venv with what Drydock needs to run

kafka: $(RUNTIME) ## Adds what `drydock up --kafka embedded` needs: Java and Kafka's jars
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/kafka.txt
	@$(BIN)/python -m services.kernel.embedded.kafka_jars

demo: $(RUNTIME) ## Shows one scan from push to notification
	@$(BIN)/drydock demo

demo-fix: $(RUNTIME) ## Shows a fix: scanned, repaired, pushed, scanned again
	@$(BIN)/drydock demo --fix

test: lint ## Checks and tests everything that needs no root
	$(PYTEST) -m "not root" $(SPREAD)
	@./.ci/left-out

test-fast: $(DEV) ## Tests whose only server is a PostgreSQL
	$(PYTEST) -m "not root and not slow" $(SPREAD)

test-root: $(DEV) ## Tests that need root, and only those
	@test "$$(id -u)" -eq 0 || { echo "make test-root: these tests need root." >&2; exit 1; }
	$(PYTEST) -m root

lint: $(DEV) ## Style, types, import rules, protos, generated code
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy services tests
	$(BIN)/lint-imports --no-logo
	BUF_CACHE_DIR=.cache/buf $(BIN)/buf lint
	./.ci/generated-code

protos: $(DEV) ## Generates protos/gen from the .proto files
	./protos/generate.sh

bench: $(DEV) ## Measures ratios in one run and writes them to docs/benchmarks.md
	GRPC_VERBOSITY=error $(BIN)/python -m tests.benchmarks --record

fuzz: $(DEV) ## Feeds every parser with damage for hours (FUZZ_EXAMPLES=20000, each of the tests in tests/fuzz)
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-20000} $(PYTEST) --timeout=0 tests/fuzz $(FUZZ)

trivy: $(DEV) ## Builds real Trivy, and the writer of its database, outside the work tree; ten minutes, once
	@./deploy/trivy/build.sh "$(CURDIR)/$(BIN)/python"

quality: $(DEV) ## Holds inventories against Syft's and findings against Trivy's, over images made here
	GRPC_VERBOSITY=error $(BIN)/python -m tests.quality --record

chaos: $(DEV) ## Kills and stalls everything while 1,000 pushes arrive, and looks what was lost (CHAOS="--bus postgres")
	GRPC_VERBOSITY=error $(BIN)/python -m tests.chaos $(CHAOS)

clean: ## Removes .venv and every cache of this folder
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find services tests protos -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@./.ci/create-venv "$(PYTHON)"

$(RUNTIME): requirements/runtime.txt requirements/build.txt requirements/runtime.in pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements/runtime.txt -r requirements/build.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): requirements/dev.txt $(RUNTIME)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@
