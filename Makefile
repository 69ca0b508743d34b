# Each target works as the first command in a fresh clone: what is missing is made, nothing is installed outside the
# clone and the user's cache folder. Needs Python 3.10 or newer with pip; for the local runtime also a CPython 3.7.

PYTHON ?= python3
BUILD ?=
BENCH ?=
FUZZ ?=
DEMO ?=
TEST ?=
WHEELHOUSE ?= wheelhouse
# Where torch's CPU builds are published; empty where pip's own settings name a place that has them.
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu

VENV := .venv
HOST := $(VENV)/bin/python
READY := $(VENV)/ready

.DEFAULT_GOAL := help
.PHONY: help demo test fuzz bench bench-quick bench-batch bench-batch-quick bench-archive bench-archive-quick lint format lock build wheelhouse clean

help:
	@echo "make demo         train a small UNet in TensorFlow 1.15, convert it, prove it, and show a picture"
	@echo "make test         every check that can run here; TEST='load -- -k vgg' picks a part"
	@echo "make fuzz         ten minutes of damaged files; FUZZ='--seconds 60' for fewer"
	@echo "make bench        the figures of the README; make bench-quick: a few of them"
	@echo "make bench-batch  200 checkpoints as a batch, beside the single command; make bench-batch-quick: a tenth"
	@echo "make bench-archive  a result of 4 GB archived and checked, beside plain hashing; make bench-archive-quick: 200 MB"
	@echo "make lint         ruff and mypy; make format: rewrite the layout"
	@echo "make build        both container images; BUILD='--wheelhouse wheelhouse' without network"
	@echo "make wheelhouse   fetch every package of the images and of the host side into a folder"
	@echo "make lock         write the locks of all environments anew"
	@echo "make clean        remove what the targets made inside the clone"

# The host's environment: what orchestrate.py needs, and its tests, benchmarks and demo.
# Some distributions ship venv without its pip; then the pip of $(PYTHON) fills the environment.
$(READY): tests/requirements-host.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed, $(PYTHON) is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.11")'
	rm -rf $(VENV)
	$(PYTHON) -m venv --without-pip $(VENV)
	$(PYTHON) -m pip --python $(HOST) --disable-pip-version-check install --quiet --require-hashes --requirement $<
	@touch $@

# Containers where there are an engine and base images, else the local runtime: the programs say which.
images: $(READY)
	@$(HOST) orchestrate.py build $(BUILD) || echo "Going on without containers, see above."
.PHONY: images

demo: images
	$(HOST) -m benchmarks.demo $(DEMO)

test: images
	$(HOST) tests/run.py $(TEST)

fuzz: $(READY)
	$(HOST) -m tests.fuzz.run $(FUZZ)

bench: $(READY)
	$(HOST) -m benchmarks $(BENCH)

bench-quick: $(READY)
	$(HOST) -m benchmarks --quick $(BENCH)

bench-batch: $(READY)
	$(HOST) -m benchmarks.batch $(BENCH)

bench-batch-quick: $(READY)
	$(HOST) -m benchmarks.batch --quick $(BENCH)

bench-archive: $(READY)
	$(HOST) -m benchmarks.archive $(BENCH)

bench-archive-quick: $(READY)
	$(HOST) -m benchmarks.archive --quick $(BENCH)

lint: $(READY)
	$(HOST) tests/run.py lint legacy_syntax

format: $(READY)
	$(HOST) -m ruff format .
	$(HOST) -m ruff check --fix .

build: $(READY)
	$(HOST) orchestrate.py build $(BUILD)

lock: $(READY)
	PYTHON=$(HOST) .ci/lock

wheelhouse: $(READY)
	$(HOST) orchestrate.py build --collect-only --wheelhouse $(WHEELHOUSE) --torch-index '$(TORCH_CPU_INDEX)'

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .bench .demo build
