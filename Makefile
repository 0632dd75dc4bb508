# Every target sets up .venv by itself on first use, and again only when the pins change.

PYTHON  ?= python3
CONFIG  ?= configs/dna.yaml
ROUNDS  ?= 1
# Changes to fields of the configuration, e.g. SET="budget.total=500 seeds=[0, 1]": a word with =
# begins a change, and those without go on with its value.
SET     ?=

VENV    := .venv
BIN     := $(VENV)/bin
READY   := $(VENV)/.ready
CHANGES := $(foreach word,$(subst ','\'',$(SET)),$(if $(findstring =,$(word)),' --set ')$(word))
CHANGES := $(if $(SET),$(subst begin',,begin$(CHANGES)'))
$(if $(findstring =,$(firstword $(SET) =)),,$(error SET: $(firstword $(SET)) is not of the form a.b=c))

.DEFAULT_GOAL := help
.PHONY: help setup round campaign compare ui serve test test-all lint type bench report clean

help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  CONFIG=$(CONFIG)  ROUNDS=$(ROUNDS)  SET=\"a.b=c d=[1, 2] …\"  PYTHON=$(PYTHON)"

setup: $(READY) ## Install everything into .venv (the other targets do it by themselves)

$(READY): constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"mfal needs Python 3.11 or newer, {sys.executable} is {v.major}.{v.minor}: make PYTHON=python3.11")'
	@echo "Setting up $(VENV): this takes some minutes, once."
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[all,dev]'
	@touch $@
	@echo "$(VENV) is ready."

round: $(READY) ## Run ROUNDS rounds of the campaign in CONFIG
	$(BIN)/mfal round $(CONFIG) --rounds $(ROUNDS) $(CHANGES)

campaign: $(READY) ## Run the campaign in CONFIG until its budget is spent
	$(BIN)/mfal campaign $(CONFIG) $(CHANGES)

compare: $(READY) ## Compare methods and seeds: CONFIG=configs/compare/dna.yaml
	$(BIN)/mfal compare $(CONFIG) $(CHANGES)

ui: $(READY) ## Start Prefect's server and page on this machine (port: MFAL_UI_PORT)
	$(BIN)/python -m flows.ui

serve: $(READY) ## Serve every campaign of configs/ with its schedule (needs `make ui`)
	$(BIN)/python -m flows.serve

report: $(READY) ## Write the report of the campaign or comparison in CONFIG
	$(BIN)/mfal report $(CONFIG) $(CHANGES)

test: $(READY) ## Run the tests
	$(BIN)/pytest -n auto --dist worksteal -m "not slow"

test-all: $(READY) ## Run the tests, the long ones too
	$(BIN)/pytest -n auto --dist worksteal

lint: $(READY) ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(READY) ## Check types
	$(BIN)/mypy

bench: $(READY) ## Run all benchmarks (half an hour and more) and write them into docs/
	$(BIN)/python -m tests.benchmarks.engine
	$(BIN)/python -m tests.benchmarks.memory
	$(BIN)/python -m tests.benchmarks.acquisition
	$(BIN)/python -m tests.benchmarks.prediction
	$(BIN)/python -m tests.benchmarks.growth
	$(BIN)/python -m tests.benchmarks.calibration
	$(BIN)/python -m tests.benchmarks.ledger
	$(BIN)/python -m tests.benchmarks.scoring
	$(BIN)/python -m tests.benchmarks.prefect
	$(BIN)/python -m tests.benchmarks.ablation
	$(BIN)/python -m tests.benchmarks.campaign --picture docs/campaign.png
	$(BIN)/python -m tests.benchmarks.pool

clean: ## Remove .venv and caches (campaigns in data/ stay)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
