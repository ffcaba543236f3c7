# vidattn: `make book` builds the book, `make test` passes the tests. `make` alone lists everything.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# What can be set on the command line, for example `make book SCALE=smoke`.
SCALE ?= reduced#   smoke | reduced | full: the file notebooks/params/<notebook>_<scale>.yaml
BUILD ?= book/_build#   where the book is built
NB ?= rnl#   the notebook of `make notebook`
YAML ?=#   a file of parameters for `make notebook`
PARAMS ?=#   single parameters for `make notebook`: '-p epochs 2 -p kernel "[3, 5, 5]"'
TORCH_INDEX ?=#   one more package index for pip: https://download.pytorch.org/whl/cpu or .../cu130
PORT ?= 8000#   of `make serve`
BLOCK ?= spatial_attention#   the block of `make chapter`, a key of vidattn.blocks.BLOCKS
TITLE ?=#   the title of `make chapter`
LEDGER ?=#   the ledger of `make evidence`: rnl | pnl | rcca | gta | pnl_c2d ...; all of them if empty
PYTEST ?=#   more words for pytest: `make test PYTEST="-k region"`
PAPER ?=#   of `make full`: rnl | pnl | rcca | gta; all of them if empty
TABLE ?=#   of `make full`: one table of the paper, such as Fig3 or IX
ROW ?=#   of `make full`: one row, by its name in notebooks/full/rows.yaml
DATA_ROOT ?=#   of `make full`: the folder of the data sets and of weights/
RUNS ?= runs/full#   of `make full`: where runs and results go
DRY ?=#   of `make full`: 1 shows what would be run, and stops
SLURM ?=#   of `make full`: so many jobs at a time under SLURM; empty: this machine, one row after another
JOB ?=#   of `make full`: what a job asks for: 'gpus=8 nodes=2 hours=24 memory=200 cpus=64 retries=5', and options of Snakemake

VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ready
# One word each: make keeps the blanks before a comment.
override SCALE := $(strip $(SCALE))
override BUILD := $(strip $(BUILD))
override NB := $(strip $(NB))
override BLOCK := $(strip $(BLOCK))
export TITLE
override PORT := $(strip $(PORT))
override TORCH_INDEX := $(strip $(TORCH_INDEX))
SELECT = '--paper=$(strip $(PAPER))' '--table=$(strip $(TABLE))' $(addprefix --row=,$(ROW)) \
  '--data-root=$(strip $(DATA_ROOT))' '--runs=$(strip $(RUNS))'

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@printf '\n'
	@awk -F ' [?]= *# *| [?]= |#   ' '/^[A-Z_]+ [?]=/ {name=$$1; text=$$NF; sub(/^[^#]*#/, "", text); printf "  %-12s%s\n", name, text}' $(firstword $(MAKEFILE_LIST))

# The environment. A half-finished installation leaves .installing behind and is thrown away.
$(READY): requirements.txt pyproject.toml notebooks/pyproject.toml
	@if [ -e $(VENV)/.installing ]; then echo "The last installation was interrupted: starting again."; rm -rf $(VENV); fi
	@if [ ! -x $(PYTHON) ]; then \
	  for python in $${PYTHON3:-python3 python3.14 python3.13 python3.12 python3.11}; do \
	    if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	  done; \
	  if [ -z "$${found:-}" ]; then echo "Python 3.11 or later is needed; found $$(python3 --version 2>&1 || echo none)." >&2; exit 2; fi; \
	  if ! "$$found" -c 'import venv, ensurepip' 2>/dev/null; then \
	    echo "Python's venv module is missing: apt-get install python3-venv" >&2; exit 2; fi; \
	  "$$found" -m venv $(VENV); \
	fi
	@touch $(VENV)/.installing
	@echo "Installing the pinned packages into $(VENV): some minutes, once."
	$(PYTHON) -m pip install --disable-pip-version-check --quiet $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -r requirements.txt
	$(PYTHON) -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e . -e ./notebooks
	@rm $(VENV)/.installing && touch $@

.PHONY: setup
setup: $(READY) ## create .venv from the pins (every other target does it when needed)

.PHONY: book
book: $(READY) ## execute the notebooks and build the book (SCALE=smoke for a quick look)
	$(PYTHON) -m notebooks book --scale $(SCALE) --build $(BUILD)

.PHONY: test
test: $(READY) ## run all tests
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n 2 -q -rs $(PYTEST)

.PHONY: smoke
smoke: $(READY) ## the book at smoke scale, beside the real one
	$(PYTHON) -m notebooks book --scale smoke --build $(BUILD)

.PHONY: notebook
notebook: $(READY) ## run one notebook: NB=rnl YAML=file.yaml PARAMS='-p epochs 2'
	@$(PYTHON) -m notebooks notebook $(NB) $(if $(strip $(YAML)),--yaml $(strip $(YAML)),--scale $(SCALE)) $(PARAMS)

.PHONY: chapter
chapter: $(READY) ## start a chapter of your own: NB=mine BLOCK=region TITLE="A title"
	@$(PYTHON) -m notebooks chapter $(NB) --block $(BLOCK) $(if $(strip $(TITLE)),--title "$$TITLE")

.PHONY: evidence
evidence: $(READY) ## run what the ledgers list and is not yet recorded (LEDGER=rnl for one; an hour or more each)
	$(PYTHON) -m notebooks evidence $(LEDGER)

# Snakemake wants older packages than the pins: it lives in an environment of its own, on top of the project's.
BATCH := $(VENV)/batch
$(BATCH)/.ready: $(READY) pyproject.toml
	rm -rf $(BATCH) && $(PYTHON) -m venv $(BATCH)
	libs() { "$$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }; \
	  echo "import site; site.addsitedir('$$(libs $(CURDIR)/$(PYTHON))')" > "$$(libs $(BATCH)/bin/python)/project.pth"
	$(BATCH)/bin/python -m pip install --disable-pip-version-check --quiet $$($(PYTHON) -c 'import tomllib; \
	  print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["batch"])')
	@touch $@

.PHONY: full
full: $(READY) full-plan $(if $(strip $(DRY)),,$(BATCH)/.ready) ## rows at full scale: PAPER=gta TABLE=Fig3 DATA_ROOT=/data (DRY=1: only say what)
	$(if $(strip $(DRY)),,$(BATCH)/bin/python -m notebooks.full.batch run $(SELECT) \
	  $(JOB) $(if $(strip $(SLURM)),--executor slurm --jobs $(strip $(SLURM))))

.PHONY: full-plan
full-plan: $(READY)
	@$(PYTHON) -m notebooks.full.batch plan $(SELECT)

.PHONY: full-record
full-record: $(READY) ## take what was measured at full scale into the book
	$(PYTHON) -m notebooks.full.batch record $(SELECT)

.PHONY: full-params
full-params: $(READY) ## write a file of parameters for every row into runs/params
	$(PYTHON) -m notebooks.full.params --folder runs/params

.PHONY: test-cluster
test-cluster: $(READY) $(BATCH)/.ready ## a batch under a real SLURM of two nodes, disturbed (needs root, slurm-wlm, munge)
	VIDATTN_CLUSTER=1 OMP_NUM_THREADS=1 $(BATCH)/bin/python -m pytest -q -rs tests/full/cluster

.PHONY: lint
lint: $(READY) ## layout (ruff format), ruff and mypy
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy

.PHONY: house
house: $(READY) ## measure the house: lines of code, cells, prose (tests/house holds the limits)
	$(PYTHON) -m tests.house.measure

.PHONY: bench
bench: $(READY) ## time and memory of every block on this machine
	OMP_NUM_THREADS=1 $(PYTHON) -m notebooks bench

.PHONY: serve
serve: $(READY) ## show the built book at http://127.0.0.1:8000
	$(PYTHON) -m http.server --bind 127.0.0.1 --directory $(BUILD)/$(SCALE)/html $(PORT)

.PHONY: clean
clean: ## remove what was built; runs/, data/ and .venv stay
	rm -rf $(BUILD) .pytest_cache .mypy_cache .ruff_cache build *.egg-info notebooks/*.egg-info
	find vidattn tests notebooks -name __pycache__ -type d -prune -exec rm -rf {} +
