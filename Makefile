# Entry point for everything. Each target installs what it needs; `make` lists the targets.
PY := .venv/bin/python
PYTEST_ARGS ?=
WORKERS ?= 3
SEEDS ?= 1000
FROM ?= 0
REF ?= HEAD

.DEFAULT_GOAL := help
.PHONY: help setup setup-bench build demo test sim conformance lint instr bench bench-system bench-compare fuzz clean

help: ## print this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

setup: ## install the Debian packages that are missing, and create .venv
	@ci/setup test

setup-bench:
	@ci/setup bench

build: ## build the package in .venv; programs are in .venv/bin
	@ci/setup build

demo: build ## run a registrar, three pool elements, a pool user, and a failure
	@$(PY) -m ci.demo

test: setup ## run all tests, including those against rsplib in the peer lab; in WORKERS processes (3)
	@$(PY) -m pytest -rsxX -n $(WORKERS) --dist loadscope --durations=15 --durations-min=1 $(PYTEST_ARGS)

sim: setup ## simulate SEEDS (1000) scopes with failures in virtual time, from seed FROM (0)
	@$(PY) -m tests.sim --seeds $(SEEDS) --from $(FROM)

conformance: setup ## list the requirements of the RFCs, with their tests or why there are none
	@$(PY) -m ci.conformance

lint: setup ## run ruff, mypy, stubtest, cython-lint, shellcheck, and check C compiler warnings
	@ci/lint

instr: setup ## compare instructions per call with the committed baseline (at most 1 % more)
	@$(PY) -m bench.instr gate

bench: setup-bench ## measure times (into bench/results), instructions per call, and memory
	@$(PY) -m bench.wall --save
	@$(PY) -m bench.instr gate
	@$(PY) -m bench.memory
	@$(PY) -m bench.system mirror

bench-system: setup-bench ## compare whole registrars, into bench/results/system.md; PARTS="tcp grid" for some parts
	@$(PY) -m bench.system --write $(PARTS)

bench-compare: setup ## compare this tree with commit REF in one run; CASES="lane octets" for some cases
	@$(PY) -m bench.compare $(REF) $(CASES)

fuzz: setup ## run a million mutated inputs, then 100 000 with ASan and UBSan
	@$(PY) -m tests.fuzz.decoder --count 1000000
	@$(PY) -m tests.fuzz.registrar --count 1000000
	@$(PY) -m tests.fuzz.node --count 1000000
	@PYTHON=$(PY) ci/fuzz 100000

clean: ## remove everything that was built, and .venv
	rm -rf .venv build dist out *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find rserpool -name '*.so' -delete
	find . -name __pycache__ -prune -exec rm -rf {} +
