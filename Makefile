# The project's commands. `make help` lists them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

BIN := .venv/bin
# A run of tests ends with make, even when make is killed (tests/conftest.py). The byte code of the
# tests is kept, or every worker would compile all of them again.
PYTEST := PYTHONDONTWRITEBYTECODE= TEXTMOD_END_WITH_PARENT=1 $(BIN)/pytest
# Most integration tests wait, so that more of them run side by side than there are cores: a file is
# run by one worker (pytest-xdist), the files with slow tests first (tests/conftest.py).
WORKERS ?= 3
SIDE_BY_SIDE = --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder

.PHONY: help setup demo console up down status kubectl test lint types imports built unit integration keda e2e faults soak fuzz images sbom \
	bench bench-profile bench-scorer bench-limits bench-evasion text-tables bench-operator bench-operator-10000 \
	bench-isolation bench-autoscaling \
	bench-autoscaling-real bench-policies bench-quality bench-review \
	picture generate install-yaml lock clean

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 20

setup: ## install everything pinned into .venv
	@dev/setup.sh

# --- the local cluster -------------------------------------------------------------------------
demo: setup ## the main job on a local cluster, with a live view (DEMO_FLAGS=--keep leaves it up)
	@$(BIN)/textmod-dev demo $(DEMO_FLAGS)

console: setup ## a review console on the local cluster, with a stream to review (CONSOLE_FLAGS=--alone)
	@$(BIN)/textmod-dev console $(CONSOLE_FLAGS)

up: setup ## start the local cluster with the operator and a model
	@$(BIN)/textmod-dev up

down: ## stop the local cluster
	@[ ! -x $(BIN)/textmod-dev ] || $(BIN)/textmod-dev down

status: ## say whether the local cluster runs, and where
	@$(BIN)/textmod-dev status

kubectl: ## kubectl on the local cluster, such as: make kubectl ARGS="get tm"
	@$(BIN)/textmod-dev kubectl $(ARGS)

# --- checks ------------------------------------------------------------------------------------
test: lint types imports built ## every check: lint, types, import law, unit and integration tests (WORKERS=3)
	$(PYTEST) $(SIDE_BY_SIDE)

lint: setup ## style and common mistakes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## mypy, strict
	$(BIN)/mypy

imports: setup ## the import law
	$(BIN)/lint-imports

unit: setup ## tests of pure code, seconds in all
	$(PYTEST) $(SIDE_BY_SIDE) -m "not integration and not slow"

unit: WORKERS = 2

integration: setup built ## tests on a real control plane and a real broker
	$(PYTEST) $(SIDE_BY_SIDE) -m integration

# Before the tests, so that none of them waits beside a build, and where its progress is seen.
built: setup
	@$(BIN)/textmod-dev build --all

# Too long a build for every run of the tests, which leave the real KEDA out.
keda: setup ## build a real KEDA (ten minutes, once), and test the Keda provider on it
	@$(BIN)/textmod-dev build --keda
	TEXTMOD_KEDA=1 $(PYTEST) tests/integration/test_keda.py

e2e: setup ## the chart and the images on a real kind cluster (a Docker engine, or root to start one)
	$(PYTEST) e2e --exitfirst --capture=no -v

faults: setup ## break what a cluster breaks and count every message (RUNS=300 SEED=1, or FAULTS="--scenario storm --runs 40")
	$(BIN)/python -m faults --seed $(or $(SEED),1) $(if $(RUNS),--runs $(RUNS) --pairs 16 --lanes 4 4 --compare) $(FAULTS)

soak: setup ## an hour of load and random faults: nothing lost, and nothing grows (MINUTES=60 SEED=1; RECORD=1 keeps the figures)
	$(BIN)/python -m faults.soak --minutes $(or $(MINUTES),60) --seed $(or $(SEED),1)

# Coverage-guided fuzzing needs a wheel that nothing else does, so it has a folder of its own.
ATHERIS = $(or $(TEXTMOD_CACHE),$(HOME)/.cache/textmod)/atheris-3.0.0
TARGETS = $$($(BIN)/python -c 'from faults.fuzz import TARGETS; print(*sorted(TARGETS))')

$(ATHERIS):
	$(BIN)/pip install --quiet --no-deps --target $@ atheris==3.0.0

fuzz: setup $(ATHERIS) ## coverage-guided fuzzing of every decoder, loader and parser (SECONDS_EACH=60)
	targets="$(TARGETS)" && for target in $$targets; do \
	  PYTHONPATH=$(ATHERIS) $(BIN)/python -m faults.fuzz $$target --seconds $(or $(SECONDS_EACH),60) \
	    --corpus .state/fuzz/$$target || exit 1; \
	done

# --- what is shipped ---------------------------------------------------------------------------
images: setup ## the images of operator, model and console (MODEL=sample, a CSV, or an artifact's folder)
	@$(BIN)/textmod-dev images $(if $(MODEL),--model $(MODEL))

sbom: setup ## the images, and bills of materials (CycloneDX) of them and of the chart in dist/sbom
	@$(BIN)/textmod-dev images $(if $(MODEL),--model $(MODEL)) --sbom dist/sbom

# --- benchmarks ----------------------------------------------------------------------------------
# A run writes its figures below .state/; with RECORD=1 into bench/results (see bench/RESULTS.md)
# and e2e/.
# Seldon's own wrapper, in the environment that its integration test makes.
WRAPPER = $(or $(TEXTMOD_CACHE),$(HOME)/.cache/textmod)/seldon-wrapper/bin/seldon-core-microservice

$(WRAPPER):
	$(PYTEST) tests/integration/test_seldon_wrapper.py

bench: setup $(WRAPPER) ## the stream beside the classic path and a micro-batch loop (some minutes)
	$(BIN)/python bench/stream/run.py --wrapper $(WRAPPER)

# py-spy has no part in what runs, so it has an environment of its own.
PYSPY = $(or $(TEXTMOD_CACHE),$(HOME)/.cache/textmod)/py-spy/bin/py-spy

$(PYSPY):
	python3 -m venv $(abspath $(dir $@)..)
	$(dir $@)pip install --quiet py-spy==0.4.3

bench-review: setup ## what review costs the stream, with a random sample and 5 % flagged (ten minutes; RECORD=1 keeps the figures)
	$(BIN)/python bench/stream/review.py

bench-profile: setup $(PYSPY) ## a flame graph of the stream worker, and its shares
	$(BIN)/python bench/stream/flame.py --py-spy $(PYSPY)

bench-scorer: setup ## the scorer alone: warm memo, unseen text, several labels (RECORD=1 keeps the figures)
	$(BIN)/python -m bench.scorer speed labels --recipe default \
	    --json $(if $(filter 1,$(RECORD)),bench/results,.state)/scorer.json

bench-limits: setup ## a storm of rebalances, memory of the worst texts, calls beside the stream, redrive (half an hour)
	$(BIN)/python bench/limits/storm.py
	$(BIN)/python bench/limits/memory.py
	$(BIN)/python bench/limits/calls.py
	$(BIN)/python bench/limits/redrive.py

bench-evasion: setup ## texts written to evade, recipes seed and default (some minutes; RECORD=1 keeps the figures)
	$(BIN)/python -m bench.evasion $(if $(DATA),--data $(DATA)) \
	    --json $(if $(filter 1,$(RECORD)),bench/results,.state)/evasion.json

bench-policies: setup ## explanations, alone and in the stream; budgets over replicas that come and go; how fast changes reach 12 replicas; drop-in protocols (half an hour)
	$(BIN)/python -m bench.policies.explanation
	$(BIN)/python bench/stream/explained.py
	cd bench && $(abspath $(BIN))/python -m policies.budget
	$(BIN)/python bench/policies/propagation.py
	$(BIN)/python bench/policies/dropins.py

bench-quality: setup ## precision and recall in simulated months of known truth (half a minute; RECORD=1 keeps the figures)
	$(BIN)/python -m bench.quality --json $(if $(filter 1,$(RECORD)),bench/results,.state)/console.json

bench-training: setup ## a training by the number of rows, up to 200,000 (RECORD=1 keeps the figures)
	$(BIN)/python -m bench.training --json $(if $(filter 1,$(RECORD)),bench/results,.state)/training.json

bench-console: setup ## the console in parts: kills, a million items on both databases, quality, the stream's cost (resumes; PARTS="--part kills-1"; SCALE=0.01; RECORD=1)
	$(BIN)/python -m bench.console --scale $(or $(SCALE),1) $(PARTS)

bench-operator: setup ## 10, 100 and 1,000 objects, and 100 wide ones on three brokers (half an hour)
	$(BIN)/python bench/operator/run.py

bench-operator-10000: setup ## 10,000 objects (hours; 16 GiB)
	$(BIN)/python bench/operator/run.py --sizes 10000 --wide 0 --no-single

bench-isolation: setup ## 25 of 30 objects on dead Kafka clusters; leadership; 1,000 specs (needs libfaketime)
	$(BIN)/python bench/isolation/unreachable.py
	$(BIN)/python bench/isolation/leadership.py
	$(BIN)/python bench/isolation/specs.py

bench-autoscaling: setup ## the scaling laws on a virtual clock (ten minutes; what is cached, seconds)
	cd bench && $(abspath $(BIN))/python -m autoscaling

bench-autoscaling-real: setup ## three traces and a cold start on the local cluster (a quarter of an hour)
	cd bench && $(abspath $(BIN))/python -m autoscaling.real

picture: setup ## docs/stream-dashboard.png: the chart's dashboard, drawn from a real Prometheus
	$(BIN)/python bench/dashboard/run.py

# --- generated files ---------------------------------------------------------------------------
generate: setup ## write the generated files
	$(BIN)/textmod-operator crd > crds/textmoderations.yaml
	$(BIN)/textmod-operator crd --format markdown > docs/api.md
	cp crds/textmoderations.yaml charts/textmoderation-operator/files/textmoderations.yaml
	$(BIN)/textmod-dev chart-readme
	cd model-server && $(abspath $(BIN))/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. \
	    textmod_model/protos/seldon.proto

# The package of look-alikes has no part in what runs, so it has an environment of its own.
CONFUSABLES = $(or $(TEXTMOD_CACHE),$(HOME)/.cache/textmod)/confusables/bin/python

$(CONFUSABLES):
	python3 -m venv $(abspath $(dir $@)..)
	$(dir $@)pip install --quiet confusable-homoglyphs==3.3.1 spacy-lookups-data==1.0.5

text-tables: $(CONFUSABLES) ## the model server's tables of words and of letters that look alike
	cd dev && $(CONFUSABLES) -m textmod_dev.text_tables ../model-server/textmod_model/text/tables

install-yaml: setup ## dist/install.yaml: the chart as one file, for people without Helm
	@mkdir -p dist
	$(BIN)/textmod-dev install-yaml > dist/install.yaml

lock: setup ## resolve and pin the dependencies again
	PATH="$(CURDIR)/$(BIN):$$PATH" requirements/lock.sh

clean: down ## remove what was built here (the caches stay)
	rm -rf .venv .state build dist reports
