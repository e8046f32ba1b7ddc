# `make demo` runs the main job, `make test` passes the tests; each does all the set-up on a fresh machine.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: help setup demo test check unit kafka coverage bench faults sim schemas lock clean

help: ## show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.synced ## environment with the locked dependencies, and the command .venv/bin/comity

$(VENV)/.synced: requirements.lock deploy/uv.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Comity needs Python 3.11 or later; set PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "python3 cannot make an environment; on Debian: apt-get install python3-venv" >&2; exit 2; }
	@$(BIN)/python -m pip install --quiet --require-hashes -r deploy/uv.lock
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## the whole story on a real Apache Kafka (without Java or Docker: on the in-memory bus)
	@$(BIN)/comity demo

test: setup check coverage ## everything: lint, types, contracts, all tests with a real Kafka

check: setup ## lint, format, types, import contracts, unused dependencies
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/deptry --no-ansi . 2>&1

unit: setup ## the default tests, on all cores: no broker, about half a minute on two
	@$(PYTEST) -n auto --dist worksteal

kafka: setup ## the tests on a real Kafka, and the long ones
	@$(PYTEST) -n 2 --dist loadfile -m "kafka or slow" --timeout 600

coverage: setup ## all tests, with branch coverage; 100 % on core, envelope and flow
	@rm -f .coverage .coverage.*
	@$(PYTEST) -n 2 --dist worksteal -m "not kafka and not slow" --cov --cov-report=
	@$(PYTEST) -n 2 --dist loadfile -m "kafka or slow" --timeout 600 --durations 20
	@$(BIN)/coverage report --show-missing --fail-under=100 --include='hub/core/*,hub/envelope/*,hub/flow.py'
	@$(BIN)/coverage report --skip-covered | tail -n 1

bench: setup ## measure everything, a quarter of an hour on a quiet machine, and write docs/performance.md
	@$(BIN)/python -m tests.benchmarks

faults: setup ## one fault in its full dose, with a dated report: make faults FAULT=F1
	@$(BIN)/python -m tests.faults run $(or $(FAULT),F1) --dose full --report

sim: setup ## the core under chance: make sim SEEDS=100000
	@$(BIN)/python -m tests.sim run --seeds $(or $(SEEDS),2000)

schemas: setup ## write the JSON Schemas and vectors anew from the models
	@$(BIN)/python -m schemas.export

lock: ## resolve the dependencies anew
	@$(BIN)/uv pip compile --quiet --generate-hashes --no-header --group dev --extra postgres pyproject.toml -o requirements.lock

clean: ## remove the environment
	@rm -rf $(VENV)
