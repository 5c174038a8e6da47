# What a newcomer types. Each target sets up what is missing first, and works as root and as an
# ordinary user.

SHELL := /bin/bash
PYTHON ?= python3
# Each other Python has an environment of its own: `PYTHON=python3.13 make test`.
VENV ?= .venv$(if $(filter-out python3,$(PYTHON)),-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: generated demo test test-fast test-long test-radio bench bench-smoke check format setup system test-system clean

demo: setup  ## Run the whole system on this machine for a minute
	$(BIN)/vitalveil demo $(ARGS)

test: test-system setup  ## Run every test that can run here
	scripts/test $(BIN)/python $(ARGS)

test-fast: setup  ## The unit tests, which need no server: a minute
	$(BIN)/python -m pytest -q -m "not long and not timed" -n 2 tests/unit $(ARGS)

test-long: test-system setup  ## The long campaigns: a thousand kills, ten thousand withdrawals
	$(BIN)/python -m pytest -q -m long $(ARGS)

test-radio: test-system setup  ## Sensors, a kernel and the real bluetoothd, in an emulated machine
	scripts/test-radio $(BIN)/python $(ARGS)

BENCH := $(VENV)/.installed-bench

$(BENCH): $(STAMP)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[bench]'
	touch $@

bench: setup $(BENCH)  ## Measure everything (a quarter of an hour; ARGS=--quick for two minutes)
	$(BIN)/vitalveil bench $(ARGS)

bench-smoke: setup $(BENCH)  ## Compare the ratios with the reference: fails on a fall of more than a quarter
	$(BIN)/vitalveil bench --smoke $(ARGS)

check: test-system setup  ## Format, lint, types, import contracts, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python -m grafana.build --check
	$(BIN)/python -m docs.build --check

generated: setup  ## Write again what is generated: dashboards, rules, runbooks, reference
	$(BIN)/python -m grafana.build
	$(BIN)/python -m docs.build

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

setup: system $(STAMP)

system:
	@PYTHON=$(PYTHON) scripts/install-system-packages mosquitto

test-system:
	@PYTHON=$(PYTHON) scripts/install-system-packages mosquitto dbus-daemon
	@# Brings promtool; without it the tests that need it are skipped.
	-@scripts/install-system-packages prometheus

$(STAMP): pyproject.toml constraints.txt scripts/make-venv
	@scripts/make-venv $(PYTHON) $(VENV)
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
