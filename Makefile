# Needs Python 3.11-3.13 with venv, and make. `make demo` and `make test` set up what they need on their own.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
HOME_FOLDER := $(abspath $(or $(LSS_HOME),lss-home))

.DEFAULT_GOAL := help
.PHONY: help setup demo notebooks images test check validate bench torture lock clean

help:  ## show these targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | awk -F'\t' '{printf "  %-12s %s\n", $$1, $$2}'

setup: $(STAMP)  ## make .venv and install the locked packages (a second call installs nothing)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else 1)' || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed; name one with: make PYTHON=python3.12"; exit 1; }
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --allow-existing --python "$$(command -v $(PYTHON))" $(VENV) && \
	  uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock && \
	  uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable . ; \
	else \
	  { $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	    { echo "This Python has no venv module; on Debian or Ubuntu: apt-get install python3-venv"; exit 1; }; } && \
	  $(PYTHON) -m venv $(VENV) && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . ; \
	fi
	@touch $@

demo: $(STAMP)  ## run the whole job on the bundled synthetic release and print where the report is
	@$(BIN)/lss demo

notebooks: $(STAMP)  ## run the notebooks on the sample's snapshot and render them as pages
	@test -e $(HOME_FOLDER)/snapshots/sample/lss-ladder.duckdb || $(BIN)/lss demo
	@LSS_HOME=$(HOME_FOLDER) $(BIN)/jupyter-nbconvert --log-level WARN --execute --KernelManager.transport_encryption=auto \
	  --to html --TemplateExporter.extra_template_basedirs=notebooks --template page \
	  --output-dir $(HOME_FOLDER)/notebooks notebooks/*.ipynb
	@echo "notebooks: $(HOME_FOLDER)/notebooks"

images: notebooks  ## photograph report, UI and a notebook for the README (needs Chromium)
	@$(BIN)/python .images/make.py $(HOME_FOLDER)

check: $(STAMP)  ## the quick inner loop: lint, types and unit tests
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/sqlfluff lint --nofail sql >/dev/null
	@$(BIN)/python -m pytest -q -n 2 -m "not slow and not browser and not java and not postgres"

test: $(STAMP)  ## every test; those that need Chromium, Java or PostgreSQL skip with a reason where it is missing
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/sqlfluff lint sql
	@$(BIN)/python -m pytest -n 2 --durations=20

validate: $(STAMP)  ## hold the estimators against R and known truth (about an hour); the page is in validation-report/
	@$(BIN)/lss validate

bench: $(STAMP)  ## time each estimator against lifelines, statsmodels and R, where installed; figures in bench/
	@$(BIN)/python -m pipelines.validation bench

torture: $(STAMP)  ## kill runs, fill disks, mutate releases (about an hour of two cores); figures in torture/
	@$(BIN)/python -m pipelines.validation.torture torture

lock:  ## resolve the lock again (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-header --no-annotate \
	  --quiet --extra dev pyproject.toml -o requirements.lock

clean:  ## remove the environment and everything that runs made
	rm -rf $(VENV) lss-home dist build
