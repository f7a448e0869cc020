# Everything a new machine needs is Python 3.11 (or newer) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true

.PHONY: setup demo test nights mutants lint benchmark peers lock clean

setup: $(VENV)/.installed

$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q attribution
	touch $@

demo: setup
	$(BIN)/attribution demo --out runs/demo

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Sixty times what the tests draw: nights of jobs on random logs, shops whose truth is known, examples that take long;
# and what runs here alone, such as the benchmarks at a size that says nothing about speed.
nights: setup
	ATTRIBUTION_NIGHTS=60 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "drawn or nightly"

# Takes most of an hour; ARGS="--seed 5 --count 40" draws other changes, or fewer.
mutants: setup
	$(BIN)/python -m tests.mutants $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

benchmark: setup
	$(BIN)/python benchmarks/run

# The tools we measure against, in an environment of their own; one of them is compiled.
peers: .venv-peers/.installed

.venv-peers/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet 'pip>=25.1'
	.venv-peers/bin/python -m pip install --quiet --group peers
	touch $@

# Needs uv, which resolves for every platform and writes no index addresses in this form.
lock:
	uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 --group dev --extra spark --extra cloud pyproject.toml --output-file requirements.lock

clean:
	rm -rf $(VENV) .venv-peers build runs mlruns mlflow.db
