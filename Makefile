# The same few targets for people and for CI. `make run` starts everything, `make test` tests everything.
#
# PYTHON picks another interpreter, which gets a virtual environment of its own: PYTHON=python3.13 make test
# ARGS is passed on: make test ARGS="tests/unit -x"

PYTHON ?= python3
ARGS ?=

ifeq ($(origin PYTHON),file)
VENV := .venv
else
VENV := .venv-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
endif
BIN := $(VENV)/bin

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help
help:
	@echo "make run      start everything on PORT (8000), with WORKERS (1) workers and a sandbox of Bluesky"
	@echo "make up       start what Procfile lists, without the sandbox (PORT, WORKERS)"
	@echo "make test     run all tests"
	@echo "make check    lint, types, imports and tests"
	@echo "make fuzz     fuzz the API for longer (FUZZ_TIMES=20 as many cases, FUZZ_SEED=1 others)"
	@echo "make bench    what a connect costs here and elsewhere (ARGS=--quick for a short look)"
	@echo "make soak     ten minutes of random faults (ARGS=\"--minutes 60\" for an hour)"
	@echo "make pictures record the terminal of README.md anew (needs tmux)"
	@echo "make lock     write the lock files from pyproject.toml (ARGS=--upgrade for newer versions)"
	@echo "make clean    remove caches and virtual environments; var/ stays"

.PHONY: run
run: $(VENV)/.runtime
	@exec $(BIN)/connector demo $(ARGS)

.PHONY: up
up: $(VENV)/.runtime
	@exec $(BIN)/connector up --procfile Procfile $(ARGS)

.PHONY: test
test: $(VENV)/.dev $(if $(ARGS),,network)
	$(BIN)/python -m pytest $(ARGS)

# The real PDS and PLC from npm, where there is Node: the first time takes minutes, which no test should have to wait.
.PHONY: network
network: $(VENV)/.dev
	@$(BIN)/python -c "from tests.e2e.network import real; real.node_available() and real.install()"

.PHONY: lint
lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: $(VENV)/.dev
	$(BIN)/mypy

.PHONY: imports
imports: $(VENV)/.dev
	$(BIN)/lint-imports

.PHONY: check
check: lint types imports test

FUZZ_TIMES ?= 20
FUZZ_SEED ?= 1

.PHONY: fuzz
fuzz: $(VENV)/.dev
	FUZZ_TIMES=$(FUZZ_TIMES) FUZZ_SEED=$(FUZZ_SEED) $(BIN)/python -m pytest tests/fuzz --timeout 0 -s $(ARGS)

.PHONY: bench
bench: $(VENV)/.bench
	$(BIN)/python -m bench.compare $(ARGS)

.PHONY: soak
soak: $(VENV)/.dev
	$(BIN)/python -m bench.soak $(ARGS)

.PHONY: pictures
pictures: $(VENV)/.dev
	$(BIN)/python -m bench.pictures

COMPILE = $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --quiet $(ARGS)

.PHONY: lock
lock: $(VENV)/.dev
	$(COMPILE) --group checkout --output-file requirements.lock
	$(COMPILE) --group checkout --extra traces --constraint requirements.lock --output-file requirements-traces.lock
	$(COMPILE) --group dev --constraint requirements.lock --output-file requirements-dev.lock
	$(COMPILE) --group peers --constraint requirements.lock --constraint requirements-dev.lock \
		--output-file requirements-bench.lock

.PHONY: clean
clean:
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The packages of the lock, then this checkout on top. Again only when one of these files has changed.
$(VENV)/.runtime: requirements.lock pyproject.toml
	@$(call install,requirements.lock)

$(VENV)/.dev: requirements-dev.lock pyproject.toml
	@$(call install,requirements-dev.lock)

# With the libraries that are measured beside us, which nothing else needs.
$(VENV)/.bench: requirements-bench.lock pyproject.toml
	@$(call install,requirements-bench.lock)

define install
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: PYTHON=python3.13 make")'
echo "Installing the packages of $(1) into $(VENV) …"
$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
$(BIN)/python -m pip install -qq --require-hashes --requirement $(1)
$(BIN)/python -m pip install -qq --no-deps --no-build-isolation --editable .
touch $@
endef
