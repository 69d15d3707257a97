# What a person or a machine runs; `make` alone lists it.

SHELL := /bin/sh
VENV := .venv/bin
RUNTIME := .venv/.installed
DEVELOPMENT := .venv/.installed-development
HOST ?= 127.0.0.1
PORT ?= 8000
ARGS ?=
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url

.DEFAULT_GOAL := help
.PHONY: help install install-development run demo test bench faults lint format requirements openapi clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(RUNTIME) ## make .venv with the pinned requirements

install-development: $(DEVELOPMENT) ## and what tests, linters and the sandbox need

$(RUNTIME): requirements.txt
	@tools/install.sh requirements.txt
	@touch $@

$(DEVELOPMENT): requirements.txt requirements-scale.txt requirements-dev.txt
	@tools/install.sh requirements.txt requirements-scale.txt requirements-dev.txt
	@touch $(RUNTIME) $@

run: $(RUNTIME) ## migrate, then serve on HOST and PORT
	@$(VENV)/python manage.py migrate --verbosity 0
	@$(VENV)/python manage.py serve --host $(HOST) --port $(PORT) $(ARGS)

demo: $(DEVELOPMENT) ## the main job on a sandbox mail server, then keep serving
	@$(VENV)/python manage.py demo $(ARGS)

test: $(DEVELOPMENT) ## every test, on SQLite, then on PostgreSQL and Redis; ARGS="tests/mail -k smtp"
	@$(VENV)/python -m tests.run $(ARGS)

faults: $(DEVELOPMENT) ## 100,000 broken messages, then long rounds of kill -9 in syncs and campaigns; ARGS="--only sync --kills 20"
	@$(VENV)/python -m tests.faults $(ARGS)

bench: $(DEVELOPMENT) ## measure against what else does the same job; ARGS="--messages 5000"
	@$(VENV)/python -m bench.first_sync $(ARGS)
	@$(VENV)/python -m bench.arrival
	@$(VENV)/python -m bench.sending
	@$(VENV)/python -m bench.ses
	@$(VENV)/python -m bench.million_messages
	@$(VENV)/python -m bench.campaign

lint: $(DEVELOPMENT) ## style, types, layers, migrations, the API document
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy .
	$(VENV)/lint-imports
	$(VENV)/python -m tools.check_generated

format: $(DEVELOPMENT) ## put the source into its one style
	@$(VENV)/ruff check --fix .
	@$(VENV)/ruff format .

requirements: ## compile the *.in files into pinned, hashed requirements (needs uv)
	$(COMPILE) requirements.in -o requirements.txt
	$(COMPILE) requirements-scale.in -o requirements-scale.txt
	$(COMPILE) requirements-dev.in -o requirements-dev.txt

openapi: $(DEVELOPMENT) ## write docs/openapi.yaml anew from the code
	@$(VENV)/python -m tools.check_generated --write

clean: ## remove .venv and everything made by tools; never the data in var/
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .bench-peers test-artefacts staticfiles
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
