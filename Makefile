# earshot. `make run` and `make test` need Python 3.11+ and make, nothing else.

# The first of these that is Python 3.11 or newer; or say which: make run PYTHON=/path/to/python3.13
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.14 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help deep run test test-all check types imports format lint generated generate lock chaos soak bench install clean
.DEFAULT_GOAL := help

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# An environment is made anew when the lock file changed; else nothing is installed and no network is asked.
# The compiled part (pipeline/native/) is built where there is a C compiler and Python's headers; its twins do without.
$(VENV)/.run: requirements.lock pyproject.toml $(wildcard pipeline/native/*)
	@test -n "$(PYTHON)" || { echo "earshot needs Python 3.11 or newer: install it, or say where it is with PYTHON=…"; exit 1; }
	@echo "installing into $(VENV) with $(PYTHON) (once) …"
	@$(PYTHON) -m venv $(VENV) || { echo "cannot make $(VENV): on Debian install python3-venv"; exit 1; }
	@$(PIP) install --require-hashes --only-binary :all: -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@$(BIN)/python -c "from pipeline.core import native; n = native.why_not; print(n and f'triage runs at half its speed: {n}')" | grep . || true
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	@echo "installing what tests need into $(VENV) (once) …"
	@$(PIP) install --require-hashes --only-binary :all: -r requirements-dev.lock
	@$(BIN)/python -m pipeline.broker.jars
	@touch $@

install: $(VENV)/.run ## Make the environment

deep: $(VENV)/.run ## Add what the stronger sentiment tier (sentiment.deep) needs
	@$(PIP) install --require-hashes --only-binary :all: -r requirements-deep.lock

run: $(VENV)/.run ## Run everything on this machine with earshot.yaml
	@$(BIN)/earshot up $(ARGS)

test: $(VENV)/.dev check ## Check everything and run all tests on embedded Kafka
	$(BIN)/pytest -n 4 --dist worksteal $(ARGS)

test-all: ## The same on two Python versions
	@for version in 3.11 3.13; do \
		found=; for p in python$$version $$HOME/.pyenv/versions/$$version.*/bin/python; do \
			$$p -c 'import sys' 2>/dev/null && found=$$p && break; done; \
		test -n "$$found" || { echo "no Python $$version here: install it or run make test PYTHON=…"; exit 1; }; \
		$(MAKE) test VENV=.venv-$$version PYTHON=$$found || exit 1; done

check: $(VENV)/.dev ## Format, lint, types, import rules, generated files, pages, alert rules, dashboards, speed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pipeline.contract.publish --check
	$(BIN)/python -m pipeline.config.schema --check
	$(BIN)/python -m connectors.table --check
	$(BIN)/python deploy/grafana/build.py --check
	$(BIN)/earshot config check --config earshot.yaml
	$(BIN)/earshot bench core --check > /dev/null
	$(BIN)/pytest -q --durations=0 --durations-min=5 tests/docs tests/monitoring/test_rules.py tests/monitoring/test_dashboards.py

format: $(VENV)/.dev ## Format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

generate: $(VENV)/.dev ## Make schemas, AsyncAPI, dashboards and the editor schema anew
	$(BIN)/python -m pipeline.contract.publish
	$(BIN)/python -m pipeline.config.schema
	$(BIN)/python -m connectors.table
	$(BIN)/python deploy/grafana/build.py

bench: $(VENV)/.run .venv-bench/.done ## Measure triage against the bare VADER loop and other engines
	$(BIN)/earshot bench triage $(ARGS)

# The peers, each apart: they pin Kafka clients of other versions. Only for the benchmark.
.venv-bench/.done:
	@echo "installing Quix Streams and Bytewax into .venv-bench (once) …"
	@for peer in quix:quixstreams==3.28.1 bytewax:bytewax==0.21.1; do \
		$(PYTHON) -m venv .venv-bench/$${peer%%:*} || exit 1; \
		.venv-bench/$${peer%%:*}/bin/python -m pip install --disable-pip-version-check --quiet --only-binary :all: \
			$${peer#*:} confluent-kafka vaderSentiment==3.3.2 || exit 1; done
	@touch $@

lock: ## Resolve the dependencies anew (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--group build --quiet --upgrade pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--group build --extra deep --constraint requirements.lock --quiet pyproject.toml -o requirements-deep.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--group build --group dev --extra deep --extra zstd --constraint requirements-deep.lock --quiet pyproject.toml -o requirements-dev.lock

chaos: $(VENV)/.dev ## Kill, pause and cut everything for minutes, and count: make chaos ARGS="--seed 1 --faults 300"
	$(BIN)/python -m tests.chaos $(ARGS)

soak: $(VENV)/.dev ## Ten minutes undisturbed: memory, open files and latency must stay flat
	$(BIN)/python -m tests.chaos.soak $(ARGS)

clean: ## Remove environments and caches; data stays
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
