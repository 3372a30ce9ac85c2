# What a checkout needs, from nothing but make, Python 3.11 to 3.13 and a package index.
# `make` or `make help` lists the targets.

VENV := .venv
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3 python; do \
  "$$python" -c '$(SUPPORTED)' 2>/dev/null && echo "$$python" && break; done)
NO_PYTHON = PYTHON: received $(if $(PYTHON),'$(PYTHON)',nothing (none is on the PATH)); \
  expected Python 3.11, 3.12 or 3.13. Install one, or name it: make PYTHON=/path/to/python3.11
# More arguments for the command behind a target, as in: make search ARGS=--model_dir=runs/mine
ARGS ?=
# Test processes side by side; each takes up to 8 GB of memory at the end.
TEST_PROCESSES ?= 2

.PHONY: help search test test-avx2 test-slow lint format install lock clean

help:  ## List the targets.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile
	@[ -e $(VENV)/installed ] || "$(PYTHON)" -c '$(SUPPORTED)' 2>/dev/null || echo "$(NO_PYTHON)"

search: $(VENV)/installed  ## Search an architecture on the embedded data (a few minutes).
	$(VENV)/bin/python -m auto_deeplab.train --gin_file=search.gin $(ARGS)

test: $(VENV)/installed  ## Run the tests.
	$(VENV)/bin/python -m pytest --numprocesses=$(TEST_PROCESSES) --dist=worksteal $(ARGS)

test-avx2: export ONEDNN_MAX_CPU_ISA = AVX2
test-avx2: test  ## Run the tests with the kernels of a processor without AVX-512.

test-slow: $(VENV)/installed  ## Run the tests that take too long for every change.
	$(VENV)/bin/python -m pytest -m slow $(ARGS)

lint: $(VENV)/installed  ## Check style, format and types.
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy

format: $(VENV)/installed  ## Repair style and format.
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

install: $(VENV)/installed  ## Create .venv with the exact versions of requirements.lock.

# Written last: where it is newer than the lock there is nothing to install. A package whose
# installation was interrupted has no INSTALLER yet, and pip must not take it for installed.
$(VENV)/installed: requirements.lock
	@if ! { $(VENV)/bin/python -c '$(SUPPORTED)' && $(VENV)/bin/python -m pip --version; } \
	    >/dev/null 2>&1; then \
	  if ! "$(PYTHON)" -c '$(SUPPORTED)' 2>/dev/null; then \
	    echo "error: $(NO_PYTHON)" >&2; \
	    exit 1; \
	  fi; \
	  echo "Creating $(VENV) with $$("$(PYTHON)" --version)"; \
	  "$(PYTHON)" -m venv --clear $(VENV); \
	fi
	@for info in $(VENV)/lib/python3*/site-packages/*.dist-info; do \
	  if [ -d "$$info" ] && [ ! -e "$$info/INSTALLER" ]; then rm -r "$$info"; fi; \
	done
	@echo "Installing requirements.lock into $(VENV) (about 3 GB; some minutes)"
	$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet -r requirements.lock
	@touch $@

# The environments of pyproject.toml are what the lock is for; repeating them on every line would
# make pip skip all of it, without a word, elsewhere.
lock:  ## Compile requirements.lock from requirements-demo.txt (needs uv).
	uv pip compile --universal --fork-strategy=fewest --python-version=3.11 --upgrade --quiet \
	  --no-header --no-annotate \
	  requirements-demo.txt --output-file=requirements.lock.new
	sed -E "s/(implementation_name == 'cpython'|platform_machine == 'x86_64'|sys_platform == 'linux'|python_full_version < '3.14'|platform_python_implementation != 'PyPy')( and |$$)//g; s/ and $$//; s/ ; *$$//" \
	  requirements.lock.new > requirements.lock
	rm requirements.lock.new

clean:  ## Remove .venv, caches and what pip left; results in runs/ and datasets/ stay.
	rm -rf $(VENV) *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
