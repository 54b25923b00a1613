# Every target works on a fresh clone with Python 3.11+ and make; set-up happens once, as a prerequisite.
PYTHON ?= python3
BIN := .venv/bin
MEMBERS := libs/protocol libs/runtime libs/testbed services/stream-ingress services/ai-agent services/tool-runner services/webhooks services/dashboard
STAMP := .venv/.ready
export UV_SYSTEM_CERTS = 1
# Compiled modules are kept: without them every process compiles everything again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo demo-full up call doctor chaos soak bench bench-pages migrate images compose-test test unit contract deploy integration e2e browser test-chaos test-bench check fmt lock generate screenshots clean

help: ## what can be made
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(STAMP) ## the virtual environment with the locked dependencies

$(STAMP): requirements.lock pyproject.toml $(MEMBERS:=/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Trunkline needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Set PYTHON=..." >&2; exit 1; }
	@echo "setting up .venv (once; a minute or two on a slow line)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(BIN)/uv || $(BIN)/python -m pip install -q --disable-pip-version-check uv
	@echo "  installing the locked dependencies"
	@$(BIN)/uv pip sync -q requirements.lock
	@echo "  linking the workspace"
	@$(BIN)/uv pip install -q --no-deps $(MEMBERS:%=-e %)
	@touch $@

# The settings of .env, if there is one, for what starts services.
ENV := set -a; test ! -f .env || . ./.env; set +a;

demo: $(STAMP) ## a whole spoken call through the real services, no keys needed
	@$(ENV) exec $(BIN)/python -m testbed demo

demo-full: $(STAMP) ## a call with PIN, keys, a barge-in, and a model that fails and comes back
	@$(ENV) exec $(BIN)/python -m testbed demo-full

up: $(STAMP) ## the system without the scripted call (real OpenAI and Twilio where their variables are set)
	@$(ENV) exec $(BIN)/python -m testbed up

COUNT ?= 1
call: $(STAMP) ## COUNT=20 spoken calls at once into what `make up` started
	@exec $(BIN)/python -m testbed call --count $(COUNT)

doctor: $(STAMP) ## what is wrong with keys, number, addresses, NATS, PostgreSQL, profiles, in sentences
	@$(ENV) exec $(BIN)/python -m testbed doctor

migrate: $(STAMP) ## the tables, in the database of DATABASE_URL
	@$(ENV) exec $(BIN)/python -m testbed migrate

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' services/webhooks/pyproject.toml)
IMAGES ?=
images: ## the container images, or IMAGES="webhooks router"; their sizes
	@deploy/images/build.sh $(VERSION) $(IMAGES)

compose-test: $(STAMP) images ## the images, and a whole call through docker-compose.yml
	@TEST_ENGINE=required $(BIN)/python -m pytest tests/deploy/test_images.py tests/deploy/test_compose.py

# One run a layer, the quick ones first: the loop of one layer's servers stands still in another's tests.
test: unit contract deploy integration e2e browser test-chaos test-bench ## every test

unit contract deploy browser: $(STAMP) ## one layer of the tests
	@$(BIN)/python -m pytest tests/$@

# These wait for sound more than they compute: two at once, each with servers of its own.
PARALLEL ?= 2
integration e2e: $(STAMP) ## the same, PARALLEL=2 files at once
	@$(BIN)/python -m pytest tests/$@ -n $(PARALLEL) --dist loadfile

test-chaos: $(STAMP) ## a few calls through a few failures
	@$(BIN)/python -m pytest tests/chaos

test-bench: $(STAMP) ## what a call costs, as a ratio to a relay without a broker
	@$(BIN)/python -m pytest tests/bench

chaos: $(STAMP) ## every failure against many calls at once, as a table: COUNT=20 SEED=1 ROWS=agent-crash,...
	@exec $(BIN)/python -m testbed.chaos $(if $(filter command% environment,$(origin COUNT)),--count $(COUNT)) $(if $(SEED),--seed $(SEED)) --rows "$(ROWS)"

soak: $(STAMP) ## thousands of short calls, and whether anything grew: COUNT=2000 AT_ONCE=20 SEED=1
	@exec $(BIN)/python -m testbed.soak $(if $(filter command% environment,$(origin COUNT)),--count $(COUNT)) $(if $(AT_ONCE),--at-once $(AT_ONCE)) $(if $(SEED),--seed $(SEED))

BENCH ?=
bench: $(STAMP) ## what a call costs, beside a relay without a broker: BENCH="--rows relay,ours --json FILE --svg FOLDER --page FILE"
	@exec $(BIN)/python -m testbed.bench $(BENCH)

check: $(STAMP) ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

fmt: $(STAMP) ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

generate: $(STAMP) ## .env.example, settings, profile keys, the contract's documents: from the code
	@$(BIN)/python scripts/generate.py
	@$(BIN)/python scripts/generate_contract.py
	@$(BIN)/python scripts/generate_monitoring.py

lock: $(STAMP) ## pin the members' requirements again into requirements.lock
	@$(BIN)/uv export -q --all-packages --no-emit-workspace --no-header -o requirements.lock

STRICT ?=
bench-pages: $(STAMP) ## how long the desk's pages take with 200 live calls and 100,000 in the history: STRICT=1 CALLS=100000 LIVE=200
	@$(BIN)/python scripts/bench_pages.py $(if $(STRICT),--strict) $(if $(CALLS),--calls $(CALLS)) $(if $(LIVE),--live $(LIVE))

screenshots: $(STAMP) ## a picture of every page of the desk in light, dark and narrow, from real calls, into docs/screenshots
	@$(BIN)/python scripts/screenshots.py

clean: ## remove the virtual environment and what runs left behind
	rm -rf .venv .run
