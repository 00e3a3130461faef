# Everything below sets itself up: a virtual environment from the lock, then Java and Keycloak where they are needed.

PYTHON ?= python3
override BIN := .venv/bin
# No folder of the project is on the module path of what it runs.
override RUN := start/run
override UV := $(or $(shell command -v uv),.venv/uv/bin/uv)

.DEFAULT_GOAL := help
FUZZ_SECONDS ?= 600
# What answers behind inference: script, or llama-stack.
MODEL ?= script
# What is given on the command line reaches programs as it is: neither make nor the shell runs what is in it.
# PYTHON is left out: it names a program to run.  What is not meant to be given is overridden.
# docs/reference/settings.md has what follows of each, of PYTHON, and of the variables of the machine:
#   PYTHON: the Python to use, 3.11 or newer; another version than before makes .venv again
#   INTRUDERS: of make up: anything, such as 1, also starts intruders and a thief, whom the console asks to use tokens
#   MODEL: what answers behind inference: script (the default), or llama-stack, for Python 3.12 or newer
#   OPENAI_BASE_URL: with MODEL=llama-stack, a server with OpenAI's API; by default one that answers by our script
#   OPENAI_MODEL: its models that are offered, separated by spaces; agents get the first (without it, set ZT_MODEL)
#   OPENAI_API_KEY_FILE: a file with the key for it
#   TESTS: of make test: which tests to run
#   FUZZ_SECONDS: of make fuzz: how long
#   NAME: of make new-agent and make new-tool: what it is called, 2 to 20 lowercase letters
#   TOOL: of make new-agent: the tool server that it calls, documents by default
#   SCOPE: of make new-agent: the one scope that it has there; by default the first that the server has
#   NEW_SCOPE: of make new-agent, instead of SCOPE: a scope to make, which that server then serves
#   WAY: of make doctor: which way of starting to look at, containers or local
#   A2A_TCK: of make conformance: the folder of the A2A test kit
#   IMAGES: of make kubernetes: the file with the names and digests of the images, as the cluster can get them
#   JOB: of make kubernetes-job: which one of start/kubernetes/jobs to run
#   JAVA_HOME: the Java to run Keycloak with, 21 or newer; without it, make finds or fetches one
#   KEYCLOAK_HOME: an unpacked Keycloak of the version that this project needs; without it, make fetches one
#   XDG_CACHE_HOME: the folder of what is fetched; by default ~/.cache
override GIVEN := NAME TOOL SCOPE NEW_SCOPE MODEL INTRUDERS WAY TESTS FUZZ_SECONDS A2A_TCK IMAGES JOB \
	OPENAI_BASE_URL OPENAI_MODEL OPENAI_API_KEY_FILE
override GIVEN := $(foreach one,$(GIVEN),$(if $(filter undefined,$(origin $(one))),,$(one)))
$(foreach one,$(GIVEN),$(eval override $(one) := $$(value $(one))))
export $(GIVEN)
override SERVER := $(if $(filter llama-stack,$(MODEL)),.ogx/ready)
# Takes a second or more, and says nothing itself.
override FIRST := echo "The installed packages are compared with their pin"
# Two at a time: a run on one core takes no harm of it, and one on more little good, for the real system is there once.
override WORKERS := --dist loadscope --tx '2*popen//python=start/run tests.worker'
.PHONY: kubernetes kubernetes-walkthrough kubernetes-job kubernetes-down doctor test-compose attacks-compose fuzz help demo up hints down fresh test attacks faults mutations check bench conformance before notebooks write-notebooks test-notebooks register new-agent new-tool lock

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/ready $(SERVER)  ## Run the walkthrough: start, one task, attacks, stop
	@$(FIRST)
	@$(RUN) demo --model "$$MODEL"

up: .venv/ready $(SERVER)  ## Start everything and leave it running
	@$(FIRST)
	@$(RUN) $(if $(INTRUDERS),lab.thief,start) up --model "$$MODEL"

hints: .venv/ready  ## Print again what `make up` printed: passwords, commands
	@$(RUN) start hints

down: .venv/ready  ## Stop what `make up` left running
	@$(RUN) start down

fresh: .venv/ready  ## Delete what `make up` kept
	@$(RUN) start fresh

kubernetes: .venv/ready  ## Start everything on Kubernetes (IMAGES=file: names, digests)
	@$(RUN) start.cluster up "$$IMAGES"

kubernetes-walkthrough: .venv/ready  ## Run the walkthrough there
	@$(RUN) start.cluster run walkthrough

kubernetes-job: .venv/ready  ## Run another job there (JOB=task, suspend-reader ...)
	@$(RUN) start.cluster run "$$JOB"

kubernetes-down: .venv/ready  ## Remove it there, and its data
	@$(RUN) start.cluster down

# It needs no .venv, for it also says why there is none.
doctor:  ## If it does not start: name the cause and the repair
	@$(PYTHON) -I start/doctor.py $$WAY

# Where the server of the tests with a real Llama Stack can run, it is there; otherwise they say that they are skipped.
test: .venv/ready .notebooks/ready  ## Run all tests but those of containers, and the longest
	@! $(BIN)/python -I -S -c 'import sys; sys.exit(sys.version_info < (3, 12))' || $(MAKE) --no-print-directory .ogx/ready || true
	@$(RUN) pytest $(WORKERS) $$TESTS

test-compose: .venv/ready  ## Run the tests that need containers, on real ones
	@$(RUN) pytest -m compose --maxfail=3 tests/compose

attacks-compose: .venv/ready  ## Try the attacks that need containers, with intruders
	@$(RUN) pytest -q -m compose tests/compose/test_attacks.py tests/compose/test_intruders.py --table

attacks: .venv/ready  ## Try each attack, with and without the check against it
	@$(RUN) pytest tests/attacks -q --table

faults: .venv/ready  ## Kill, stop and cut off processes, for several minutes
	@$(RUN) pytest -m exhaustive

mutations: .venv/ready  ## Delete each check of the library; show which test fails
	@$(RUN) tests.mutations

fuzz: .venv/ready  ## Fuzz for ten minutes (FUZZ_SECONDS=60: for one)
	@case "$$FUZZ_SECONDS" in ""|*[!0-9]*) echo "FUZZ_SECONDS is a number of seconds"; exit 1;; esac
	@for target in credentials header claims message; do \
		$(RUN) tests.fuzz.fuzz $$target -max_total_time=$$((FUZZ_SECONDS / 4)) || exit 1; done

check: .venv/ready  ## Check derived files, manifests, style and types
	@$(RUN) registration.register --check
	@$(RUN) tests.kubernetes.schemas
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(RUN) mypy
	@go version >/dev/null 2>&1 || { echo "No Go is here: the plugin of SPIRE's agent was not checked."; exit 0; } && \
		cd authorities/attestation/kubernetes/spire_plugin && go vet . && go test .

bench: .venv/ready  ## Measure what zero trust costs
	@$(RUN) lab.bench

conformance: .venv/ready  ## Run public suites and clients (A2A_TCK=folder: that kit)
	@$(RUN) lab.conformance

# Figure 3's system needs a server with an environment of its own; where that cannot be made, it says so.
before: .venv/ready  ## Attack figure 1's system, this one, and figure 3's
	@! start/newer-python >/dev/null 2>&1 || $(MAKE) --no-print-directory .ogx/ready || \
		echo "Figure 3's system is left out: its server could not be installed, as said above."
	@$(FIRST)
	@$(RUN) lab.before

notebooks: .venv/ready .notebooks/ready  ## The series in notebooks, on the running system
	@$(FIRST)
	@$(RUN) lab.notebooks open

test-notebooks: .venv/ready .notebooks/ready  ## Execute the notebooks, and compare the outputs
	@$(FIRST)
	@$(RUN) lab.notebooks check

write-notebooks: .venv/ready .notebooks/ready  ## Execute the notebooks, and store them with their outputs
	@$(FIRST)
	@$(RUN) lab.notebooks write

register: .venv/ready  ## Approve the code as it is: registry.lock
	@$(RUN) registration.register

new-agent: .venv/ready  ## Add an agent of your own: NAME=auditor
	@$(RUN) registration.parties new-agent "$$NAME" "$$TOOL" "$$SCOPE" "$$NEW_SCOPE"

new-tool: .venv/ready  ## Add a tool server of your own: NAME=ledger
	@$(RUN) registration.parties new-tool "$$NAME"

# A PYTHON that is given, and is of another version than the one in .venv, makes the environment again.
ifneq ($(origin PYTHON),file)
ifneq ($(shell $(PYTHON) -V 2>&1),$(shell sed -n 's/^version_info = /Python /p' .venv/pyvenv.cfg 2>&1))
.PHONY: .venv/ready
endif
endif

# Says after 2, 4, 8 ... seconds that the recipe line which it runs beside goes on, and ends with it.
override SO_FAR = (n=0 next=2; while sleep 2 >/dev/null 2>&1 && kill -0 $$$$ 2>/dev/null; do n=$$((n + 2)); test $$n -lt $$next || { echo "$(1): $$n s so far"; next=$$((2 * n)); }; done) &

# Made again each time, and from copies: what shares its inodes with uv's cache could be changed there, unnoticed.
.venv/ready: start/locks/requirements.lock start/locks/bootstrap.lock registration/pin.py start/zt start/run start/run.py
	@$(PYTHON) -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, and $(PYTHON) is not: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@mkdir -p .venv
	@test -x $(UV) || { echo "Getting uv"; $(call SO_FAR,Getting uv) PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 $(PYTHON) -P -m pip install -q --only-binary=:all: --require-hashes --target .venv/uv -r start/locks/bootstrap.lock || { echo "uv cannot be installed by pip: install it yourself (https://docs.astral.sh/uv), then try again."; exit 1; }; }
	@echo "Setting up the Python environment"
	@rm -rf .venv/bin .venv/lib .venv/bytecode .venv/environment.json
	@$(UV) venv -q --allow-existing --python $(PYTHON) .venv
	@$(call SO_FAR,Packages are fetched and installed) UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy $(UV) pip sync -q --no-build --require-hashes --python $(BIN)/python start/locks/requirements.lock || { echo "The packages of start/locks/requirements.lock cannot be had: is there a way to a package index?"; exit 1; }
	@install -m 755 start/zt $(BIN)/zt
	@$(RUN) registration.pin
	@touch $@

# A real model's server, in an environment of its own: it needs Python 3.12, and nothing of ours.
.ogx/ready: start/locks/requirements.ogx.lock start/newer-python | .venv/ready
	@python=$$(start/newer-python) || exit 1; rm -rf .ogx; $(UV) venv -q --python "$$python" .ogx
	@echo "Setting up the OGX server's environment"
	@$(call SO_FAR,Packages are fetched and installed) UV_COMPILE_BYTECODE=1 $(UV) pip sync -q --no-build --require-hashes --python .ogx/bin/python start/locks/requirements.ogx.lock || { echo "The packages of start/locks/requirements.ogx.lock cannot be had: is there a way to a package index?"; exit 1; }
	@touch $@

# JupyterLab and its kernel, which imports the demo: attestation measures .venv, and nothing of this has to be in it.
.notebooks/ready: start/locks/requirements.notebooks.lock | .venv/ready
	@rm -rf .notebooks; $(UV) venv -q --python $(BIN)/python .notebooks
	@echo "Setting up the notebooks' environment"
	@$(call SO_FAR,Packages are fetched and installed) UV_COMPILE_BYTECODE=1 $(UV) pip sync -q --no-build --require-hashes --python .notebooks/bin/python start/locks/requirements.notebooks.lock || { echo "The packages of start/locks/requirements.notebooks.lock cannot be had: is there a way to a package index?"; exit 1; }
	@touch $@

# start/locks/requirements.inference.lock is what the inference service alone installs beside start/locks/requirements.run.lock,
# start/locks/requirements.registry.lock what the registry and the tools do, and start/locks/requirements.traces.lock what the
# exporter of traces does;
# start/locks/requirements.ogx.lock is the OGX server's own environment, and start/locks/requirements.notebooks.lock that of the notebooks.
lock:  ## Resolve the dependencies again
	@echo uv | $(UV) pip compile - --universal --generate-hashes --no-emit-index-url --no-header --no-annotate -q -o start/locks/bootstrap.lock
	@$(UV) pip compile pyproject.toml --all-extras --group demo --group registry --group llama-stack --group traces --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -o start/locks/requirements.lock
	@$(UV) pip compile pyproject.toml --extra a2a --extra mcp --extra zt --group demo -c start/locks/requirements.lock --python-version 3.13 --generate-hashes --no-emit-index-url --no-header -q -o start/locks/requirements.run.lock
	@$(UV) pip compile pyproject.toml --extra a2a --extra mcp --extra zt --group demo --group llama-stack -c start/locks/requirements.lock $$(sed -n 's/^\([^ ]*\)==.*/--no-emit-package \1/p' start/locks/requirements.run.lock) --python-version 3.13 --generate-hashes --no-emit-index-url --no-header -q -o start/locks/requirements.inference.lock
	@$(UV) pip compile pyproject.toml --extra a2a --extra mcp --extra zt --group demo --group registry -c start/locks/requirements.lock $$(sed -n 's/^\([^ ]*\)==.*/--no-emit-package \1/p' start/locks/requirements.run.lock) --python-version 3.13 --generate-hashes --no-emit-index-url --no-header -q -o start/locks/requirements.registry.lock
	@$(UV) pip compile pyproject.toml --extra a2a --extra mcp --extra zt --group demo --group traces -c start/locks/requirements.lock $$(sed -n 's/^\([^ ]*\)==.*/--no-emit-package \1/p' start/locks/requirements.run.lock) --python-version 3.13 --generate-hashes --no-emit-index-url --no-header -q -o start/locks/requirements.traces.lock
	@$(UV) pip compile pyproject.toml --extra a2a --extra mcp --extra zt --group demo --group registry --group notebooks -c start/locks/requirements.lock --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -o start/locks/requirements.notebooks.lock
	@printf 'ogx==1.5.0\nogx-client==1.5.0\n' | $(UV) pip compile - --universal --python-version 3.12 --generate-hashes --no-emit-index-url --no-header -q -o start/locks/requirements.ogx.lock
