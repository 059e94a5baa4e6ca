# Everything here starts from a bare machine: Python 3.11 to 3.13 with its venv module, or uv, and git and make.
# The environment is made in .venv on first use, brought up to date when pyproject.toml or constraints.txt change, and made
# anew when the folder was moved. Written for GNU make 3.81, which macOS still ships, and a plain sh.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin

# The interpreter that makes .venv: the first of these that runs and is in range. make PYTHON=/path/to/python overrides.
PYTHON ?=
CANDIDATES := $(if $(PYTHON),"$(PYTHON)",python3 python3.13 python3.12 python3.11 python)
# As requires-python in pyproject.toml says.
IN_RANGE := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
OR_NAME_ONE := or name one with make PYTHON=/path/to/python

# Where the driver of an NVIDIA card answers, TensorFlow comes with CUDA. make demo GPU=no leaves that out.
GPU ?=
WITH_CUDA = test "$(GPU)" != no && test "$$(uname -s)" = Linux && $(BIN)/python -I search/hpsearch/executors/nvidia.py
CUDA_SIZE := 3.4 GB to download and 7 GB on the disk

INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# An environment knows its own path: one that was copied or moved with the folder would import the old folder's code.
MOVED := $(shell test -x $(BIN)/python && test "$$(cat $(VENV)/.where 2>/dev/null)" = "$$(pwd -P)" || echo moved)

.PHONY: help demo test lint test-slow test-browser test-formats test-jax test-torch test-oldest test-newest clean moved

help: ## List these targets (the default).
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name said; do \
	  printf '  make %-12s %s\n' "$$name" "$$said"; \
	done

# Finals would take as long as the search itself. The CPU is enough for digits where a GPU is there and cannot be used.
demo: $(VENV)/.installed ## Search on scikit-learn's digits, show the leaderboard and export the best model.
	$(BIN)/hpsearch run spaces/digits.py --trials 8 --study demo --devices auto
	$(BIN)/hpsearch leaderboard --study demo
	$(BIN)/hpsearch export-best --study demo --no-finals
	@test -f results/demo/export/model.keras && echo "The exported model: $(CURDIR)/results/demo/export/model.keras"

# Files side by side, on two cores or more; each process holds a TensorFlow of its own, hence no more than four.
test: lint ## Run the checks and the quick tests.
	$(BIN)/python -m pytest --quiet --numprocesses logical --maxprocesses 4 --dist loadfile

lint: $(VENV)/.installed-dev ## Check style, formatting and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test-slow: $(VENV)/.installed-dev ## Run the tests that train for longer.
	$(BIN)/python -m pytest --quiet -m "slow and not gpu and not jax and not torch and not browser and not formats"

test-browser: $(VENV)/.installed-dev ## Open the report in headless Chromium (Debian: package chromium).
	$(BIN)/python -m pytest --quiet -m "browser and not slow"

test-formats: $(VENV)/.installed-formats ## Export to ONNX, LiteRT and OpenVINO and run what is written (installs them).
	$(BIN)/python -m pytest --quiet -m formats

test-jax: $(VENV)/.installed-jax ## Run the tests on JAX (installs it).
	KERAS_BACKEND=jax $(BIN)/python -m pytest --quiet -m jax

# Where the package index gives PyTorch with CUDA (gigabytes), PIP_FIND_LINKS or PIP_INDEX_URL can name one with CPU builds.
test-torch: $(VENV)/.installed-torch ## Run the tests on PyTorch (installs it).
	KERAS_BACKEND=torch $(BIN)/python -m pytest --quiet -m torch

clean: ## Remove the environments and all caches; the results of studies stay.
	rm -rf $(VENV) .venv-oldest .venv-newest build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov
	find benchmarks search spaces tests -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.where: $(MOVED)
	@found=; bare=; \
	for python in $(CANDIDATES); do \
	  "$$python" -c '$(IN_RANGE)' >/dev/null 2>&1 || continue; \
	  if "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then found=$$python; break; fi; \
	  bare=$${bare:-$$python}; \
	done; \
	if test -z "$$found" && test -z "$(PYTHON)" && command -v uv >/dev/null 2>&1; then \
	  echo "Making $(VENV) with uv and Python $${bare:-3.13}; TensorFlow is large, so this takes a few minutes the first time."; \
	  rm -rf $(VENV); \
	  if uv venv --quiet --seed --python "$${bare:-3.13}" $(VENV); then pwd -P > $@; exit 0; fi; \
	  rm -rf $(VENV); \
	fi; \
	if test -z "$$found" && test -n "$$bare"; then \
	  echo "Error: $$bare has no venv module: install it (Debian and Ubuntu: package python3-venv), $(OR_NAME_ONE)." >&2; exit 1; \
	fi; \
	if test -z "$$found"; then \
	  echo 'Error: hpsearch needs Python 3.11, 3.12 or 3.13, and found none that runs among' $(CANDIDATES)'; install one, or uv, which fetches it, $(OR_NAME_ONE).' >&2; exit 1; \
	fi; \
	echo "Making $(VENV) with $$("$$found" --version); TensorFlow is large, so this takes a few minutes the first time."; \
	"$$found" -m venv --clear $(VENV)
	@pwd -P > $@

$(VENV)/.installed: $(VENV)/.where pyproject.toml constraints.txt
	@if $(WITH_CUDA); then \
	  echo "An NVIDIA driver answers, so TensorFlow is installed with CUDA: $(CUDA_SIZE). make demo GPU=no leaves it out."; \
	  $(INSTALL) -e ".[gpu]" && touch $@ && exit 0; \
	  echo "TensorFlow with CUDA cannot be installed here; going on without it." >&2; \
	fi; \
	$(INSTALL) -e . && touch $@

$(VENV)/.installed-dev: $(VENV)/.where pyproject.toml constraints.txt
	$(INSTALL) -e ".[dev]"
	@touch $@

$(VENV)/.installed-formats: $(VENV)/.where pyproject.toml constraints.txt
	$(INSTALL) -e ".[dev,onnx,litert,openvino]"
	@touch $@

$(VENV)/.installed-jax: $(VENV)/.where pyproject.toml constraints.txt
	$(INSTALL) -e ".[dev,jax]"
	@touch $@

$(VENV)/.installed-torch: $(VENV)/.where pyproject.toml constraints.txt
	$(INSTALL) -e ".[dev,torch]"
	@touch $@

# The two ends of what pyproject.toml allows, each in an environment of its own that is made anew every time; constraints.txt
# has no say here. To try one file again: .venv-oldest/bin/python -m pytest tests/test_run.py
# $(call MAKE_ENVIRONMENT,folder,interpreters in the order in which they are tried)
MAKE_ENVIRONMENT = rm -rf $(1) && $(MAKE) --no-print-directory VENV=$(1) CANDIDATES='$(if $(PYTHON),"$(PYTHON)",$(2))' $(1)/.where
QUICK_TESTS := -m pytest --quiet --numprocesses logical --maxprocesses 4 --dist loadfile

# "Lowest" is said of what pyproject.toml names; what that asks for in turn is the newest that goes with it.
test-oldest: ## Run the quick tests with the oldest Python and the lowest versions that pyproject.toml allows.
	@$(call MAKE_ENVIRONMENT,.venv-oldest,python3.11 python3.12 python3.13 python3 python)
	@uv=uv; \
	if ! uv --version >/dev/null 2>&1; then \
	  .venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check uv || exit; \
	  uv=.venv-oldest/bin/uv; \
	fi; \
	$$uv pip compile --quiet --resolution lowest-direct --extra dev --python .venv-oldest/bin/python \
	  --output-file .venv-oldest/versions.txt pyproject.toml
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check -r .venv-oldest/versions.txt -e ".[dev]"
	.venv-oldest/bin/python $(QUICK_TESTS)

test-newest: ## Run the quick tests with the newest Python and the newest versions that pyproject.toml allows.
	@$(call MAKE_ENVIRONMENT,.venv-newest,python3.13 python3.12 python3.11 python3 python)
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	.venv-newest/bin/python $(QUICK_TESTS)
