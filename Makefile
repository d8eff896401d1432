# Two commands: `make demo` shows the tool at work, `make test` passes all tests. Both set up what they need.
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup engine demo test unit lint bench wheel clean

setup:
	@scripts/setup.sh

engine: setup
	@scripts/engine.sh

demo: engine
	@scripts/demo.sh

test: engine lint
	@$(BIN)/python -m pytest -p no:randomly --durations=15

unit: setup
	@$(BIN)/python -m pytest -m "not engine"

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: engine
	@$(BIN)/python -m bench

wheel: setup
	@$(BIN)/python -m pip install --quiet build ziglang
	@$(BIN)/python -m debloat.sensor.build
	@$(BIN)/python -m build

clean:
	rm -rf $(VENV) build dist debloat/sensor/bin .mypy_cache .ruff_cache .pytest_cache .hypothesis
