# `make` alone lists the targets. Everything runs from .venv, which `make install` creates.
.DEFAULT_GOAL := help
.PHONY: help install install-dev dev demo test soak check format bench loadtest eval_baseline eval_candidate eval_gate
ARGS ?=
RUN := .venv/bin/python
PRODUCTION_LIKE = RELAY_DEBUG=0 RELAY_ALLOWED_HOSTS=relay.example.com \
	RELAY_SECRET_KEY="$$($(RUN) -c 'import secrets; print(secrets.token_urlsafe(64))')" \
	RELAY_KEY_PEPPER="$$($(RUN) -c 'import secrets; print(secrets.token_urlsafe(64))')"

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z_-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

install: ## Create .venv and install Relay with its embedded servers
	@PYTHON="$(PYTHON)" sh relay_project/embedded/install.sh run

install-dev: ## The same, with the tools for tests and checks
	@PYTHON="$(PYTHON)" sh relay_project/embedded/install.sh dev

dev: install ## Run all of Relay here: servers, model, web, workers (Ctrl-C stops)
	@$(RUN) -m relay_project.embedded.dev

demo: install ## Walk through the demo against the running `make dev`
	@$(RUN) manage.py demo $(ARGS)

test: install-dev ## Run the tests with their own servers (ARGS="path -k name" picks some, without coverage)
ifeq ($(strip $(ARGS)),)
	@$(RUN) -m coverage erase
	@$(RUN) -m coverage run -m pytest -q -n 2 --dist loadfile
	@$(RUN) -m coverage combine -q
	@$(RUN) -m coverage report
	@echo "Decisions are covered whole:"
	@$(RUN) -m coverage report --include='*/core/*,routing/pipeline.py' --fail-under=100
else
	@$(RUN) -m pytest $(ARGS)
endif

soak: install-dev ## Kill servers under load again and again (minutes; ARGS="-k name" picks some)
	@$(RUN) -m pytest -q -m soak $(ARGS)

check: install-dev ## Everything that is checked without running tests
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	RELAY_DEBUG=1 $(RUN) -m mypy .
	.venv/bin/lint-imports
	@echo "manage.py check --deploy"
	@$(PRODUCTION_LIKE) $(RUN) manage.py check --deploy --fail-level WARNING
	$(RUN) -m relay_project.embedded.throwaway $(RUN) manage.py makemigrations --check --dry-run

format: install-dev ## Format the code and fix what can be fixed safely
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

bench: install ## Measure what a request costs (ARGS=--json for one object)
	@$(RUN) -m relay_project.bench $(ARGS)

eval_baseline: install ## Ask a data set with a policy's active version (ARGS="--policy demo --dataset mt-bench --route mock")
	@$(RUN) manage.py eval_baseline $(ARGS)

eval_candidate: install ## The same with its newest version, to compare with that baseline
	@$(RUN) manage.py eval_candidate $(ARGS)

eval_gate: install ## Is the newest candidate proven worse than its baseline? (ARGS="--policy demo")
	@$(RUN) manage.py eval_gate $(ARGS)

loadtest: install .venv-load/.installed ## Locust against the running `make dev`, page on 8089 (ARGS="--headless --users 50")
	@$(RUN) manage.py loadtest $(ARGS)

.venv-load/.installed: requirements-load.txt
	@echo "  Installing Locust into .venv-load …"
	@$(RUN) -m venv .venv-load && .venv-load/bin/python -m pip install -q --disable-pip-version-check -r requirements-load.txt
	@touch $@
