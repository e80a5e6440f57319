# `make help` lists what there is. Everything is installed into .venv; nothing outside this folder is touched.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
UV_VERSION := 0.13.9
EMULATOR_NEEDS := tests/bigquery/requirements
FAB_NEEDS := tests/console/fab/requirements
LABEL_STUDIO_NEEDS := tests/review_tools/label_studio/requirements
# Three at once keep two cores busy while one waits for a server or the disk; threads of one that spin would only disturb.
SUITE := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile
IN_IMAGE := \# the image brings it
# Of some needs alone, in the versions of requirements.txt.
COMPILE = $(BIN)/uv pip compile -q --universal --python-version 3.11 --no-emit-index-url --no-annotate --no-header -c requirements.txt
export PYTHONPATH := $(CURDIR)
# Bytecode is what makes the second start of a command quick.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo try up down airflow test test-busy test-newest test-sqlite lint verify-ledger bench bench-guarantee bench-loop bench-retraining bench-wide bench-kills bench-memory bigquery-week emulator fab label-studio browser postgres axe screenshots docs lock clean install install-dev

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: install ## Run a simulated platform through 21 days of all daily Dags, and show the result
	@$(BIN)/python -m include.demo

try: install ## Certify thresholds on your own files: SCORES=scores.csv VOTES=votes.csv, ARGS="--market country" for what is asked for
	@$(BIN)/python -m include.importing --run --scores "$(SCORES)" --votes "$(VOTES)" $(ARGS)

up: install ## Open the Airflow UI and MLflow's over the demo's data, on this machine only: DATABASE=postgres for its metadata
	@$(BIN)/python -m include.demo.upcoming
	@$(BIN)/python -m include.local.server up $(DATABASE)

down: ## Stop what `make up` started
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m include.local.server down; fi

airflow: install ## Run Airflow's own command line on the local installation: ARGS="dags list-runs sample_for_review"
	@$(BIN)/python -m include.local.command $(ARGS)

test: install-dev emulator fab label-studio axe lint ## Lint, check types and docs, and run the whole suite
	@$(SUITE)

test-busy: install-dev emulator fab label-studio ## Run the suite three times in a row while two endless loops keep two cores busy (an hour)
	@trap 'kill $$(jobs -p)' EXIT; for loop in 1 2; do while :; do :; done & done; \
	for run in 1 2 3; do $(SUITE) || exit; done

test-sqlite: install-dev ## Run the end-to-end test with metadata in SQLite, also where PostgreSQL is installed (minutes)
	@DATABASE=sqlite $(BIN)/python -m pytest tests/local/test_scheduler.py

test-newest: install-dev ## Run the tests without Airflow on the newest Python of this machine, in an environment of its own: NEWEST=python3.13
	@newest=$$(for name in $(NEWEST) python3.13 ~/.pyenv/versions/3.13*/bin/python3 python3.12; do $$name -c 'import sys; print(sys.executable)' 2>/dev/null && break; done); \
	if [ -z "$$newest" ]; then echo "No Python newer than 3.11 was found; NEWEST= names one"; exit 1; fi; \
	$(BIN)/uv venv -q --allow-existing --no-python-downloads --python "$$newest" .venv/newest && \
	$(BIN)/uv pip install -q --python .venv/newest/bin/python -r requirements.txt -r requirements-dev.txt && \
	$(subst $(BIN),.venv/newest/bin,$(SUITE)) -m "not scheduler and not airflow and not slow"

lint: install-dev ## Lint, check types, and check that generated docs are current
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m include.local.docs --check

verify-ledger: install ## Check the ledger's chain, what is served, samples and decisions: VERSION=n, else the newest; LAST=n of them
	@$(BIN)/python -m include.verification $(if $(VERSION),--version $(VERSION)) $(if $(LAST),--last $(LAST))

bench: install-dev ## Measure speed and errors against peers, ratios in one run (minutes)
	@$(BIN)/python -m tests.benchmarks.bench_scans
	@$(BIN)/python -m tests.benchmarks.bench_consensus
	@$(BIN)/python -m tests.benchmarks.bench_certify
	@$(BIN)/python -m tests.benchmarks.bench_rates
	@$(BIN)/python -m tests.benchmarks.bench_snapshot
	@$(BIN)/python -m tests.benchmarks.bench_history

bench-guarantee: install-dev ## Check the certificate's promise on simulated days, beside what others do (10 minutes)
	@$(BIN)/python -m tests.benchmarks.bench_guarantee

bench-loop: install-dev ## Live 60 days of every scenario, beside fixed and notebook thresholds: DAYS=n, SCENARIOS=.. (an hour)
	@$(BIN)/python -m tests.benchmarks.bench_loop $(if $(DAYS),--days $(DAYS)) $(SCENARIOS)

bench-retraining: install-dev ## Measure when retraining is asked for, and which challengers are accepted (half an hour)
	@$(BIN)/python -m tests.benchmarks.bench_retraining

bench-wide: install-dev ## Hold a wide platform's queues against its budgets, and its clean days against the gate (half an hour)
	@$(BIN)/python -m tests.benchmarks.bench_wide
	@$(BIN)/python -m tests.benchmarks.bench_clean_days

bench-kills: install-dev ## Kill every step of every Dag 1,000 times at random file operations (half an hour): KILLS=n
	@$(BIN)/python -m tests.benchmarks.bench_kills $(if $(KILLS),--kills $(KILLS))

bench-memory: install-dev emulator ## Measure what steps take that rest on a window, at 5,000 cells, on both engines (half an hour): CELLS=n
	@$(BIN)/python -m tests.benchmarks.bench_memory $(if $(CELLS),$(CELLS))

bigquery-week: install-dev emulator ## Live a week on both engines, and compare their tables (a quarter of an hour)
	@PLUMBLINE_LOOP_DAYS=7 $(BIN)/python -m pytest -q tests/bigquery/test_loop.py

emulator: .venv/bqemulator/installed ## Install the BigQuery emulator of the tests into an environment of its own

fab: .venv/fab/installed ## Install Airflow's FAB auth manager, beside the environment, for the tests of who may do what

label-studio: .venv/labelstudio/installed ## Install Label Studio into an environment of its own, for the tests of the review tool

browser: ## Install Chromium for the tests of pages, which are skipped without it (Debian, as root)
	@command -v chromium >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; }

postgres: ## Install PostgreSQL's server for `make up DATABASE=postgres` and the end-to-end test (Debian, as root)
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || \
	{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null; }

axe: tests/console/axe/node_modules/axe-core/axe.min.js ## Fetch axe-core, with npm, for the tests of pages, which are skipped without it

tests/console/axe/node_modules/axe-core/axe.min.js: tests/console/axe/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix tests/console/axe --ignore-scripts --no-audit --no-fund --silent && touch $@; \
	else echo "npm is not installed: pages are not looked at by axe-core"; fi

screenshots: install-dev browser up ## Make the docs' pictures of the page in Airflow's UI and of a report, from the demo's data
	@$(BIN)/python -m tests.console.screenshots

docs: install ## Write the generated docs anew
	@$(BIN)/python -m include.local.docs

lock: $(BIN)/uv ## Compile requirements.in and requirements-dev.in into their locks, and what images need that bring Airflow
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-emit-index-url requirements.in -o requirements.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-emit-index-url requirements-dev.in -o requirements-dev.txt
	@{ echo '# Written by `make lock`: requirements.txt without Airflow and what it needs.'; grep -v '$(IN_IMAGE)' requirements.in | \
		$(COMPILE) - | grep -vEf <(grep '$(IN_IMAGE)' requirements.in | $(COMPILE) - | sed -E 's/==.*/==/; s/^/^/'); } > requirements-image.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-emit-index-url $(EMULATOR_NEEDS).in -o $(EMULATOR_NEEDS).txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-emit-index-url $(LABEL_STUDIO_NEEDS).in -o $(LABEL_STUDIO_NEEDS).txt
	@$(COMPILE) $(FAB_NEEDS).in | grep -vxFf <(grep -E '^[a-z]' requirements.txt) > $(FAB_NEEDS).txt

clean: down ## Remove the demo's data and Airflow's metadata
	@rm -rf data .airflow

install: .venv/installed
install-dev: .venv/installed-dev

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Plumbline needs Python 3.11 or newer; set PYTHON=")'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION)

.venv/installed: requirements.txt | $(BIN)/uv
	@echo "Installing ..."
	@$(BIN)/uv pip install -q --python $(BIN)/python --compile-bytecode -r requirements.txt
	@touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	@echo "Installing what development needs ..."
	@$(BIN)/uv pip install -q --python $(BIN)/python --compile-bytecode -r requirements-dev.txt
	@touch $@

.venv/bqemulator/installed: $(EMULATOR_NEEDS).txt | $(BIN)/uv
	@echo "Installing the BigQuery emulator ..."
	@$(BIN)/uv venv -q --clear --python $(BIN)/python .venv/bqemulator
	@$(BIN)/uv pip install -q --python .venv/bqemulator/bin/python --compile-bytecode -r $<
	@.venv/bqemulator/bin/python -c 'from duckdb_extensions import import_extension; import_extension("spatial")'
	@touch $@

# Alone, beside what is installed already: it brings a web framework that nothing else here needs.
.venv/fab/installed: $(FAB_NEEDS).txt | $(BIN)/uv
	@echo "Installing the FAB auth manager ..."
	@rm -rf .venv/fab
	@$(BIN)/uv pip install -q --no-deps --python $(BIN)/python --target .venv/fab -r $<
	@touch $@

# With an empty database, which it takes longer to make than all tests of it take.
.venv/labelstudio/installed: $(LABEL_STUDIO_NEEDS).txt | $(BIN)/uv
	@echo "Installing Label Studio ..."
	@$(BIN)/uv venv -q --clear --python $(BIN)/python .venv/labelstudio
	@$(BIN)/uv pip install -q --python .venv/labelstudio/bin/python --compile-bytecode -r $<
	@PYTHONPATH= COLLECT_ANALYTICS=false LATEST_VERSION_CHECK=false LABEL_STUDIO_BASE_DATA_DIR=$(CURDIR)/.venv/labelstudio/data \
		.venv/labelstudio/bin/label-studio version >/dev/null 2>&1
	@touch $@
