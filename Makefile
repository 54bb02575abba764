# Every task is one command. The environment is .venv: made once, refreshed when pyproject.toml or the engine's C++
# changes. Needs python3 (3.11 or later) with venv and headers, make, a C++20 compiler; CMake and Ninja come from PyPI.

PYTHON ?= python3
PORT ?= 8000
SECONDS ?= 60
TORCH ?= torch>=2.6,<3

VENV := $(CURDIR)/.venv
TRAIN := $(CURDIR)/.venv-train
export PATH := $(VENV)/bin:$(PATH)
# Builds and tests use no other package than those of the environment, and no settings of the caller's service.
unexport PYTHONPATH PYTHONHOME $(filter CABACUS_%,$(.VARIABLES))

CPP := $(shell find engine/bindings engine/include tests/engine_cpp -name '*.[ch]pp' -o -name '*.inc') \
       engine/CMakeLists.txt tests/engine_cpp/CMakeLists.txt

.DEFAULT_GOAL := help
.PHONY: help run test lint format cpp-test cpp-test-arm py-test test-packaging test-shared test-browser test-flower docker-test test-train table1 storm fuzz fuzz-api bench bench-service openapi vectors dist clean

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' Makefile

run: $(VENV)/.ready ## Start the service, send it a trained network, bring it back, and serve on: PORT=8000
	@exec python engine/examples/first_light.py --port $(PORT) --state .run

test: lint cpp-test py-test test-flower ## Check everything: lint, types, C++ tests, Python tests

lint: $(VENV)/.ready ## Check style and types
	ruff check .
	ruff format --check .
	@rm -rf build/types && mkdir -p build/types/cabacus
	@ln -s $(CURDIR)/engine/cabacus/* $(CURDIR)/service build/types/cabacus/
	mypy --strict -p cabacus

format: $(VENV)/.ready ## Format the Python code
	ruff check --fix-only .
	ruff format .

cpp-test: $(VENV)/.tools ## Build the C++ tests with sanitizers and run them
	@cmake -S tests/engine_cpp -B build/engine_cpp -G Ninja --log-level=WARNING
	cmake --build build/engine_cpp
	ctest --test-dir build/engine_cpp --output-on-failure --no-tests=error

# The lanes at -O3, as the engine is built: optimizers have broken some that were right at less.
ARM_CXX ?= aarch64-linux-gnu-g++
ARM_RUN ?= qemu-aarch64-static
ARM_FLAGS := -std=c++20 -ffp-contract=off -Iengine/include -pthread

cpp-test-arm: ## Test the lanes and the trellis on AArch64 in qemu: needs g++-aarch64-linux-gnu and qemu-user-static
	@mkdir -p build/arm
	$(ARM_CXX) $(ARM_FLAGS) -O3 -fno-tree-slp-vectorize -D_GLIBCXX_ASSERTIONS -Wall -Wextra -Wconversion -Werror -static \
	    -o build/arm/tests $(addprefix tests/engine_cpp/,main.cpp test_lanes.cpp test_trellis.cpp)
	$(ARM_RUN) build/arm/tests
	$(CXX) $(ARM_FLAGS) -O1 -o build/arm/digest-here tests/engine_cpp/digest.cpp
	$(ARM_CXX) $(ARM_FLAGS) -O1 -static -o build/arm/digest-there tests/engine_cpp/digest.cpp
	build/arm/digest-here >build/arm/here.txt
	$(ARM_RUN) build/arm/digest-there >build/arm/there.txt
	diff build/arm/here.txt build/arm/there.txt
	@wc -l <build/arm/there.txt | sed 's/$$/ lines of hashes, the same here and there/'

py-test: $(VENV)/.ready ## Run the Python tests: ARGS='-k name' chooses
	pytest -m 'not shared and not packaging and not browser and not docker' $(ARGS)

test-packaging: $(VENV)/.ready ## Build the distributions, install them into a fresh environment, use them
	pytest -m packaging $(ARGS)

test-browser: $(VENV)/.ready ## Test the page in headless Chromium: needs one on PATH
	pip install --quiet 'playwright>=1.45,<2'
	pytest -m browser $(ARGS)

test-flower: build/flower/.ready ## Test the Flower adapter, in an environment of its own: flwr pins an old fastapi
	FLWR_TELEMETRY_ENABLED=0 HOME=$(CURDIR)/build/flower build/flower/bin/python -m pytest tests/federated/test_flower.py $(ARGS)

build/flower/.ready: $(VENV)/.ready $(wildcard engine/cabacus/*.py engine/cabacus/federated/*.py)
	$(PYTHON) -m venv build/flower
	pip wheel --quiet --no-deps --no-build-isolation --wheel-dir build/flower .
	build/flower/bin/pip install --quiet --force-reinstall --no-deps build/flower/cabacus-*.whl
	build/flower/bin/pip install --quiet "$$(ls build/flower/cabacus-*.whl)[flower]" 'pytest>=8.4,<10'
	@touch $@

docker-test: $(VENV)/.ready ## Build the image, start everything, hurt it: needs docker and docker compose, and the base images
	pip install --quiet 'kubernetes-validate>=1.31,<2'
	pytest tests/docker --durations=0 $(ARGS)

test-shared: $(VENV)/.ready ## Run the tests that need the networks and data sets of ../shared
	pytest -m shared $(ARGS)

test-train: $(TRAIN)/.ready ## Run the tests that need torch, in an environment with it: cabacus.sparsify, state_dicts
	$(TRAIN)/bin/python -m pytest tests/sparsify tests/e2e/test_torch.py $(ARGS)

table1: $(TRAIN)/.ready ## Train the networks of the paper's Table 1, compress and judge them: hours; goes on where it was
	mkdir -p build/table1
	$(TRAIN)/bin/python tests/bench/table1/table.py ../shared/data build/table1 $(ARGS)

storm: $(VENV)/.ready ## Kill workers and the queue's server under 1,000 jobs, and count: about two minutes
	python tests/e2e/storm/storm.py $(ARGS)

fuzz-api: $(VENV)/.ready ## Send the API made-up requests for a minute, and 10,000 mutated files
	FUZZ_SECONDS=60 pytest tests/fuzz/test_api.py -k schemathesis
	python tests/fuzz/mutate.py --count 10000 $(ARGS)

bench: $(VENV)/.ready ## Measure sizes and speeds on the tensors of ../shared/bench
	python ../shared/bench/make_tensors.py --out build/bench
	cd tests/bench && export BENCH_TENSORS=../../build/bench && \
	for codec in lossless_int:integers lossless_f32:floats lossy_rd:trellis many_tensors:integers; do \
	    python ../../../shared/bench/$${codec%:*}.py --tensors ../../build/bench --name cabacus --codec bench_codecs:$${codec#*:}; \
	done

bench-service: $(VENV)/.ready ## Measure what the service costs beyond the engine: about a minute
	python tests/bench/throughput.py $(ARGS)

openapi: $(VENV)/.ready ## Write openapi/openapi.json anew
	python -m cabacus.service.api.openapi >build/openapi.json
	mv build/openapi.json openapi/openapi.json

fuzz: ## Fuzz the core with clang's libFuzzer: SECONDS=60 for its targets together
	@python3 tests/fuzz/run_core.py --seconds $(SECONDS)

vectors: $(VENV)/.tools ## Write the files of tests/vectors anew
	cd tests && python -m vectors.make

dist: $(VENV)/.tools ## Build the wheel and the source distribution into dist/
	pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	python -c 'import scikit_build_core.build as backend; print(backend.build_sdist("dist"))'

clean: ## Remove the environment and everything that was built
	rm -rf .venv .venv-train build dist .run .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# What builds the engine, in the versions that pyproject.toml asks for.
$(VENV)/.tools: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cabacus needs Python 3.11 or later: make PYTHON=...")'
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	    >$(VENV)/build-requires.txt
	pip install --quiet -r $(VENV)/build-requires.txt cmake ninja
	@touch $@

# The engine is built and everything is installed, editable: a change of Python needs no new build.
$(VENV)/.ready: $(VENV)/.tools $(filter engine/%,$(CPP))
	pip install --quiet --no-build-isolation --config-settings=build-dir=build/dev --editable '.[test]'
	@touch $@

# Training has an environment of its own: torch is large, and nothing else may come to need it. It lies over the other
# one, whose packages it sees. TORCH chooses the build: without CUDA it is a tenth of the size.
$(TRAIN)/.ready: $(VENV)/.ready
	@test -x $(TRAIN)/bin/python || python -m venv $(TRAIN)
	@$(TRAIN)/bin/python -c 'import sys, sysconfig; \
	    open(sysconfig.get_path("purelib") + "/under.pth", "w").write(f"import site; site.addsitedir({sys.argv[1]!r})\n")' \
	    "$$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
	$(TRAIN)/bin/python -m pip install --quiet '$(TORCH)' pillow
	@touch $@
