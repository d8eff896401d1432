# Two commands: `make demo` shows the tool at work, `make test` passes all tests. Both set up what they need.
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup engine demo test unit fuzz lint lists sid bench wheel clean

setup:
	@scripts/setup.sh

# Base images that tests and benchmarks start from; a fixture that needs another has it made.
SUITES := bookworm trixie

engine: setup
	@scripts/engine.sh $(SUITES)

demo: SUITES := trixie
demo: engine
	@scripts/demo.sh

test: engine lint
	@$(BIN)/python -m pytest -p no:randomly --durations=15

unit: setup
	@$(BIN)/python -m pytest -m "not engine"

# Property tests and fuzzers from other starting points than CI, which takes the same one each time.
fuzz: setup
	@for seed in $${SEEDS:-1 2 3 4 5 6 7 8 9 10}; do \
		echo "seed $$seed" && $(BIN)/python -m pytest -q -m "hypothesis and not engine" --hypothesis-seed=$$seed || exit 1; \
	done

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

# What Debian's releases have of the paths that rules speak of, for tests/data/lists: after a pattern was added or changed.
lists: setup
	@$(BIN)/python -m tests.support.lists

# The families on the suite that becomes the next release: which patterns match nothing there, and the real packages.
sid: setup
	@$(BIN)/python -m tests.support.lists --look sid
	@DEBLOAT_TEST_RELEASES=sid $(BIN)/python -m pytest -q -p no:randomly tests/rules/knowledge/test_families.py

bench: engine
	@$(BIN)/python -m bench

wheel: setup
	@$(BIN)/python -m pip install --quiet build ziglang
	@$(BIN)/python -m debloat.sensor.prebuild
	@$(BIN)/python -m build

clean:
	rm -rf $(VENV) build dist debloat/sensor/bin .mypy_cache .ruff_cache .pytest_cache .hypothesis
