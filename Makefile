# Two commands for a newcomer: `make demo` and `make test`. CONTRIBUTING.md has the rest.
# Needs Python 3.11 or newer, git and make; everything else it installs into this folder.

PYTHON ?= python3
PATH_OF_DATA := $(CURDIR)/../shared/data
ifneq ($(wildcard ../shared/data/README.md),)
export RTM_SHARED_DATA ?= $(PATH_OF_DATA)
endif

UV := .tools/bin/python -m uv
RUN := .venv/bin/python -m
export UV_PROJECT_ENVIRONMENT := .venv
export UV_PYTHON_DOWNLOADS := never
export UV_NO_PROGRESS := 1

.DEFAULT_GOAL := help
.PHONY: help demo test install test-tools lint types imports unit validate bench torture mutation bluez-vm lock clean

help:            ## this list
	@grep -E '^[a-z-]+: .*##|^[a-z-]+:  +##' Makefile | sed 's/:.*##/ -/'

.tools/.ready: deploy/bootstrap.py
	@$(PYTHON) deploy/bootstrap.py

.venv/.ready: pyproject.toml uv.lock | .tools/.ready
	@echo "Installing Homestretch into .venv (a minute the first time) ..."
	@$(UV) sync --frozen --quiet --extra all --python "$$(cat .tools/python)"
	@touch .venv/.ready

install: .venv/.ready  ## create the environment

demo: .venv/.ready     ## the whole platform with throw-away data; ARGS=--check sends one recording through everything
	@$(RUN) homestretch demo $(ARGS)

test-tools: .venv/.ready
	@.venv/bin/python deploy/test_tools.py

test: test-tools lint types imports unit  ## everything that must hold before a change lands

lint: .venv/.ready     ## ruff: style, security, names
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .

types: .venv/.ready    ## mypy, strict, tests too
	@$(RUN) mypy -p rtm_signal -p rtm_billing -p rtm_gateway -p rtm_firmware_sim -p rtm_server -p homestretch
	@$(RUN) mypy tests benchmarks validation deploy

imports: .venv/.ready  ## who may import whom
	.venv/bin/lint-imports

unit: .venv/.ready     ## pytest, random order, a process a core, coverage; ARGS passes through
	@$(RUN) pytest -n auto --maxprocesses 4 --dist loadfile --cov --cov-report=term:skip-covered --cov-report=xml $(ARGS)

validate: .venv/.ready ## accuracy on real recordings -> docs/validation.md
	@$(RUN) validation.run

bench: .venv/.ready    ## speed, as ratios taken in one run
	@$(RUN) benchmarks.run

torture: .venv/.ready  ## the long fault campaign and the long property runs
	@$(RUN) benchmarks.torture $(ARGS)

mutation: .venv/.ready ## how many small mistakes in the billing code the tests see (hours)
	@$(UV) run --no-sync --with mutmut==3.8.1 python -m benchmarks.mutation $(ARGS)

bluez-vm: .venv/.ready ## the gateway on a real BlueZ, in an emulated Debian (not part of `make test`)
	@$(RUN) deploy.bluez_vm.run

lock: .tools/.ready    ## resolve the dependencies anew
	@$(UV) lock

clean:                 ## remove the environments and caches, never data
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache coverage.xml .coverage
