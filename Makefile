# Two commands: `make demo` shows the tool at work, `make test` passes all tests. Both set up what they need.
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
# Tests without an engine share nothing but the processors.
PARALLEL := -n auto --maxprocesses 4
# Of those with one two run at a time, which ones tests/support/paired.py says.
PAIRED := -n 2 --dist=loadscope --no-loadscope-reorder

# Tests start the command line a thousand times: its modules are compiled once, whatever the caller's environment says.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup engine engines demo test unit fuzz coverage lint lists sid page bench foreign wheel clean

setup:
	@scripts/setup.sh

# Base images that tests and benchmarks start from; a fixture that needs another has it made.
SUITES := bookworm trixie

engine: setup
	@scripts/engine.sh $(SUITES)

# On the Docker engine that answers; where none does, none is set up.
demo: setup
	@scripts/demo.sh

# Everything, cheap tests first: the last line of either run says how it ended, and the second follows on success only.
test: engine lint
	@$(PYTEST) $(PARALLEL) -m "not engine" --durations=15
	@$(PYTEST) $(PAIRED) -m engine --durations=25

# Every engine that Debian's packages bring, sid's too, beside the one that runs; writes the table of docs/engines.md.
engines: engine
	@DEBLOAT_MORE_ENGINES=1 DEBLOAT_WRITE_DOCS=1 $(PYTEST) -m engines --durations=15

# Between two edits: no engine, no network, two minutes at most on two processors.
unit: setup
	@$(PYTEST) $(PARALLEL) -m "not engine and not network and not slow" --hypothesis-profile=unit

# Property tests and fuzzers from other starting points than CI, which takes the same one each time.
fuzz: setup
	@for seed in $${SEEDS:-1 2 3 4 5 6 7 8 9 10}; do \
		echo "seed $$seed" && $(PYTEST) $(PARALLEL) -q -m "hypothesis and not engine" --hypothesis-seed=$$seed || exit 1; \
	done

# Of the package by the tests without an engine: lines and branches, those in other processes too.
coverage: setup
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -q $(PARALLEL) -m "not engine"
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@git ls-files '*.[ch]' ':!fixtures' | xargs $(BIN)/clang-format --dry-run --Werror
	@$(BIN)/mypy

# What Debian's releases have of the paths that rules speak of, for tests/data/lists: after a pattern was added or changed.
lists: setup
	@$(BIN)/python -m tests.support.lists

# The families on the suite that becomes the next release: which patterns match nothing there, and the real packages.
sid: setup
	@$(BIN)/python -m tests.support.lists --look sid
	@DEBLOAT_TEST_RELEASES=sid $(BIN)/python -m pytest -q tests/rules/knowledge/test_families.py

# The library that the page carries, made again and compared (npm).
page:
	@scripts/page.sh

bench: engine
	@$(BIN)/python -m bench

# The suites of PostgreSQL, Redis and PHP on minimal images, from Debian's source packages; writes the table of docs/generality.md.
foreign: engine
	@$(BIN)/python -m bench foreign --save

wheel: setup
	@$(BIN)/python -m pip install --quiet build ziglang
	@$(BIN)/python -m debloat.sensor.prebuild
	@$(BIN)/python -m build

clean:
	rm -rf $(VENV) build dist debloat/sensor/bin .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
