# `make help` lists what there is. Needs make and Python >= 3.11; the rest comes as wheels into .venv.

PYTHON ?= python3
TORCH ?= torch
PROCESSES ?= 3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo test soak serve check bench peers openapi

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(INSTALLED) ## Tune ResNet-18 on a throw-away service and compare with ONNX Runtime
	$(BIN)/tilewright demo

test: check ## Everything that has to pass: check, then all tests
	$(BIN)/pytest --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder -m 'not alone and not soak'
	$(BIN)/pytest -m 'alone and not soak'

soak: $(INSTALLED) ## What takes too long for every change: random workloads, kills, faults of whole clusters, load; hours
	$(BIN)/pytest --numprocesses 2 --hypothesis-profile soak tests/kernels/test_exactness.py tests/client/test_workload.py
	$(BIN)/pytest --hypothesis-profile soak tests/service/test_queue_machine.py
	$(BIN)/pytest -m soak
	$(BIN)/python -m tests.system.kills
	$(BIN)/python -m tests.cluster
	$(BIN)/python -m bench.load

serve: $(INSTALLED) ## A service with its database in .tilewright/ and its logs in tuning_logs/
	$(BIN)/tilewright serve --data-dir .tilewright --logs-dir tuning_logs

check: $(INSTALLED) ## Layout, lint, types, who imports whom, and the width and links of prose
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --num-workers 2
	$(BIN)/lint-imports --no-cache
	$(BIN)/rumdl check --no-cache .

bench: $(INSTALLED) ## Load tests and comparisons with peers, into docs/benchmarks.md; wants a quiet machine; RESUME=1 goes on
	@set -e; for each in callers overhead "load lookups --database sqlite"; do echo "== bench.$$each"; $(BIN)/python -m bench.$$each; done
	$(BIN)/python -m bench.all $(if $(RESUME),--resume)

peers: $(INSTALLED) ## oneDNN for `make bench`: TORCH, a CPU build, in a folder of its own
	$(BIN)/python -m pip install --quiet --upgrade --no-deps --target .peers $(TORCH)

openapi: $(INSTALLED) ## Write docs/openapi.json anew
	$(BIN)/python -m tilewright_service.openapi

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Tilewright needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
		|| { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment; on Debian: apt install python3-venv" >&2; exit 1; }
	@rm -rf tilewright.egg-info # of an earlier installation: Python would read it here before the one in $(VENV)
	@echo "Installing into $(VENV); the first time it takes about a minute."
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@
