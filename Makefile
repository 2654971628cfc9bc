# Distillery's tasks; `make` alone lists them. Works with GNU make 3.81 and later.
SHELL := /bin/sh
.DEFAULT_GOAL := help
BIN := .venv/bin
export SAM_CLI_TELEMETRY := 0
# sam, cfn-lint and the layer's build find the tools of .venv before those of the machine.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help install check test demo up down bench lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

install: ## .venv with the pinned dependencies and the command distillery
	@tools/install.sh

check: install ## format, lint, types, import directions, template
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary layers/distillery/src functions cli local tools samples benchmarks
	@said=$$($(BIN)/lint-imports --no-cache --no-logo 2>&1) || { echo "$$said"; exit 1; }
	@said=$$($(BIN)/sam validate --lint 2>&1) || { echo "$$said"; exit 1; }
	@$(BIN)/python -m tools.translate

test: install ## every test
	@$(BIN)/pytest --numprocesses 2 --dist loadfile

demo: install ## the whole chain on a local cloud: build, deploy, distil, evaluate, route; FROM=spec generates first
	@$(BIN)/python -m local demo $(FROM)

up: install ## start the local cloud in the background with the stack deployed
	@$(BIN)/python -m local up

down: install ## stop the local cloud
	@$(BIN)/python -m local down

bench: install ## measure; prints a table and writes JSON
	@$(BIN)/python -m benchmarks

lock: install ## resolve requirements/*.in again (needs uv)
	@command -v uv >/dev/null || { echo "uv is needed to resolve the requirements, and it is not on PATH." >&2; exit 1; }
	@for name in requirements/*.in; do \
	    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	        --no-header --no-annotate --upgrade "$$name" --output-file "$${name%.in}.txt" || exit 1; \
	done
	@$(BIN)/python -m tools.lock_layer

clean: ## remove what was made, .venv too
	@[ ! -x $(BIN)/python ] || $(BIN)/python -m local down
	@rm -rf .venv .aws-sam .cloud .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
