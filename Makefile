# The project's tasks; `make` alone lists them. Works with GNU make 3.81 and later.
SHELL := /bin/sh
.DEFAULT_GOAL := help
BIN := .venv/bin
export SAM_CLI_TELEMETRY := 0
# Seconds between two looks of `sam deploy` at a stack. The default of 5 suits AWS; the local cloud needs less than one.
export SAM_CLI_POLL_DELAY := 0.5
# uv installs without compiling. Without bytecode files every process would compile the large tools again.
unexport PYTHONDONTWRITEBYTECODE
# sam, cfn-lint and the layer's build find the tools of .venv before those of the machine.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help install check test explore demo up deploy down bench lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

install: ## create .venv with the pinned dependencies and the distillery command
	@tools/install.sh

check: install ## run the gate: format, lint, types, import directions, retired words, template
	@$(BIN)/python -m tools.check

test: install ## run all tests
	@$(BIN)/pytest --numprocesses 2 --dist loadfile

explore: install ## run every schedule of faults and interleavings, and new examples of the property tests; takes an hour
	@EXPLORE=1 $(BIN)/pytest tests/races tests/unit --numprocesses 2 --timeout 7200 -m "races or hypothesis" \
	    --hypothesis-profile explore

demo: install ## run the whole chain on a local cloud, from build to answers; FROM=spec generates the dataset first
	@$(BIN)/python -m local demo $(FROM)

up: install ## start the local cloud in the background and deploy the stack to it
	@$(BIN)/python -m local up

deploy: install ## deploy to the local cloud that is up with other parameters; PARAMETERS="NAME=VALUE ..."
	@$(BIN)/python -m local deploy $(PARAMETERS)

down: install ## stop the local cloud
	@$(BIN)/python -m local down

bench: install ## run the benchmarks; prints a table and writes JSON
	@$(BIN)/python -m benchmarks

lock: install ## resolve requirements/*.in again, with uv
	@command -v uv >/dev/null || { echo "uv resolves the requirements. It is not on PATH, and it has no wheel for this platform." >&2; exit 1; }
	@for name in requirements/*.in; do \
	    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	        --no-header --no-annotate --upgrade "$$name" --output-file "$${name%.in}.txt" || exit 1; \
	done
	@$(BIN)/python -m tools.lock_layer

clean: ## remove all generated files, including .venv
	@[ ! -x $(BIN)/python ] || $(BIN)/python -m local down
	@rm -rf .venv .aws-sam .cloud .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
