# bnn2c. `make help` lists the targets; everything is installed into the virtual environment .venv.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
CORPUS ?= ../shared/corpus
export PYTHON VENV

PY = $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help demo test test-quick lint corpus fuzz prove lock audit bench bench-diff docs clean setup-demo setup-test

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

setup-demo:
	@scripts/setup.sh demo

setup-test:
	@scripts/setup.sh test

demo: setup-demo ## compile the example, run it on real digits, compare with ONNX
	@$(PY) examples/digits/demo.py

test: setup-test lint ## lint and all tests; installs toolchains through apt when it can
	$(PY) -m pytest -q -n $(JOBS) -m "not fuzz and not corpus and not prove"

test-quick: setup-test lint ## without the tests that take long, for while you write code
	$(PY) -m pytest -q -n $(JOBS) -m "not slow and not fuzz and not corpus and not prove"

lint: setup-test ## ruff (rules and format) and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

corpus: setup-test ## every exported model of CORPUS: verified, refused or mismatch
	$(PY) scripts/corpus.py --corpus "$(CORPUS)"

fuzz: setup-test ## N=5000 random networks through the whole chain and as many damaged files; findings are stored
	$(PY) -m pytest -q -n $(JOBS) -m fuzz

bench: setup-test ## instructions, flash and RAM per kernel and target: docs/bench.md
	$(PY) bench/run.py --processes $(JOBS)
	$(PY) bench/real.py

bench-diff: setup-test ## fail when a count grew since bench/baseline.json was stored
	$(PY) bench/diff.py

prove: setup-test ## prove that the kernels have no undefined behaviour (Frama-C's Eva; an hour)
	@scripts/setup.sh prove
	$(PY) -m pytest -q -n $(JOBS) -m prove
	$(PY) tests/proofs/prove.py --jobs $(JOBS)

lock: ## scripts/test.lock again, from pyproject.toml; needs uv
	uv pip compile pyproject.toml --extra test --universal --generate-hashes --python-version 3.10 \
	  --no-header --annotation-style line -q -o scripts/test.lock

audit: ## known vulnerabilities of the locked packages; needs pip-audit and the network
	pip-audit -r scripts/test.lock --require-hashes --disable-pip

docs: setup-test ## the pages under docs/ that are generated from the code
	$(PY) scripts/make_docs.py

clean: ## remove everything that the other targets made
	rm -rf $(VENV) gen build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
