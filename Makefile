# The front door. Every target sets up what it needs by itself; `make` lists them.
PY := .venv/bin/python
PYTEST_ARGS ?=
WORKERS ?= 3
SEEDS ?= 1000
FROM ?= 0
REF ?= HEAD

.DEFAULT_GOAL := help
.PHONY: help setup setup-bench build demo test sim conformance lint instr bench bench-system bench-compare fuzz clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

setup: ## everything that a fresh Debian 12 lacks, and .venv
	@ci/setup test

setup-bench:
	@ci/setup bench

build: ## .venv with the built package, programs in .venv/bin
	@ci/setup build

demo: build ## a registrar, three pool elements, a pool user, and a failure
	@$(PY) -m ci.demo

test: setup ## all tests, also those against other implementations in the peer lab; WORKERS processes (3) at once
	@$(PY) -m pytest -rsxX -n $(WORKERS) --dist loadscope --durations=15 --durations-min=1 $(PYTEST_ARGS)

sim: setup ## SEEDS scopes (1000) of registrars, elements and users, disturbed in virtual time; from seed FROM (0) on
	@$(PY) -m tests.sim --seeds $(SEEDS) --from $(FROM)

conformance: setup ## which rows of the RFCs' requirement table tests cover, which not, and why
	@$(PY) -m ci.conformance

lint: setup ## ruff, mypy, stubtest, cython-lint, shellcheck, and the C compiler's warnings
	@ci/lint

instr: setup ## instructions per call against the committed baseline, at most 1 % more
	@$(PY) -m bench.instr gate

bench: setup-bench ## times, into bench/results; instructions per call against the baseline (gate +1 %), memory
	@$(PY) -m bench.wall --save
	@$(PY) -m bench.instr gate
	@$(PY) -m bench.memory
	@$(PY) -m bench.system mirror

bench-system: setup-bench ## registrars beside yardsticks and others, into bench/results/system.md; PARTS="tcp grid" for some
	@$(PY) -m bench.system --write $(PARTS)

bench-compare: setup ## this tree beside commit REF, in turn in one run; CASES="lane octets" for some
	@$(PY) -m bench.compare $(REF) $(CASES)

fuzz: setup ## a million mutated inputs, then 100 000 under ASan and UBSan
	@$(PY) -m tests.fuzz.decoder --count 1000000
	@$(PY) -m tests.fuzz.registrar --count 1000000
	@$(PY) -m tests.fuzz.node --count 1000000
	@PYTHON=$(PY) ci/fuzz 100000

clean: ## remove everything that was made, .venv too
	rm -rf .venv build dist out *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find rserpool -name '*.so' -delete
	find . -name __pycache__ -prune -exec rm -rf {} +
