# `make demo` and `make test` are all a fresh machine needs; both are safe to repeat.
PYTHON ?= python3
BIN := .venv/bin
DEMO ?= demo

.PHONY: demo station-demo test test-edge test-gpu coverage chromium mosquitto faketime rtsp check bench clean lock

demo: .venv/central
	$(BIN)/rarefault demo --out $(DEMO)

# A station on rendered cameras, and its page in the browser; Ctrl-C ends it.
station-demo: .venv/station
	$(BIN)/rarefault station-demo

test: .venv/dev chromium mosquitto faketime rtsp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal  # one thread a worker: more would spin against each other

# The edge's tests on the Pythons of devices (JetPack 6 has 3.10, JetPack 7 has 3.12), each in an environment of its own
# without torch. A Python that is not here is skipped. On 3.12 coverage costs nothing, so there it has a floor.
EDGE_PYTHONS ?= 3.10 3.12
EDGE_ROOMS ?= bundle media inference classify alerts watchlog web judgements labelling
EDGE_FLOOR ?= 85
test-edge: mosquitto
	@for version in $(EDGE_PYTHONS); do \
	  python=$$(.ci/find-python $$version) || { echo "no Python $$version: the edge's tests on it are skipped"; continue; }; \
	  $(MAKE) --no-print-directory .venv-$$version/ready PYTHON=$$python || exit 1; coverage=; \
	  [ $$version != 3.12 ] || coverage="$(addprefix --cov=edge_runtime/,$(EDGE_ROOMS)) --cov-fail-under=$(EDGE_FLOOR)"; \
	  OMP_NUM_THREADS=1 COVERAGE_CORE=sysmon .venv-$$version/bin/python -m pytest -n 2 $$coverage \
	    $(addprefix tests/edge_runtime/,$(EDGE_ROOMS)) tests/edge_runtime/test_*.py || exit 1; \
	done

# The whole suite with coverage, for whoever changes the floor: slower by half, because Python 3.11 traces every call.
coverage: .venv/dev chromium mosquitto faketime rtsp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal --cov

# Tests of the report use a browser; without one they are skipped.
chromium:
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  { apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium; } \
	  >/dev/null 2>&1; } || echo "no chromium: the report's browser tests will be skipped"

# Tests of the station's messages use a real broker; without one they are skipped.
mosquitto:
	@PATH="$$PATH:/usr/sbin" command -v mosquitto >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  { apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends mosquitto; } \
	  >/dev/null 2>&1; } || echo "no mosquitto: the station's broker tests will be skipped"

# Tests of a clock that jumps use libfaketime; without it they are skipped.
faketime:
	@command -v faketime >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  { apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends faketime; } \
	  >/dev/null 2>&1; } || echo "no faketime: the tests of a clock that jumps will be skipped"

# Tests of the cameras use a real RTSP server; without one they are skipped.
RTSP_PACKAGES := ffmpeg gir1.2-gst-rtsp-server-1.0 python3-gi $(addprefix gstreamer1.0-plugins-,base good ugly)
RTSP_PROBE := import gi; gi.require_version("GstRtspServer", "1.0")
rtsp:
	@/usr/bin/python3 -c '$(RTSP_PROBE)' 2>/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  { apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(RTSP_PACKAGES); } \
	  >/dev/null 2>&1; } || echo "no RTSP server: some of the cameras' tests will be skipped"

check: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy edge_runtime export augment

# Every test that needs a GPU, with the wheels for one. Which were skipped, and why, stands at the end.
test-gpu: .venv-gpu/ready
	OMP_NUM_THREADS=1 .venv-gpu/bin/python -m pytest -m gpu -rs tests

# Every claim of benchmarks/registry.py, and ten runs that are killed. One claim: .venv/bin/python -m benchmarks.run_claims ID
bench: .venv/dev
	$(BIN)/python -m benchmarks.run_claims
	$(BIN)/python -m benchmarks.kill_resume

clean:
	rm -rf .venv .venv-* build dist demo station-demo .pytest_cache .mypy_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Rewrites the lock files from pyproject.toml; look at the difference before committing it.
lock: .venv/dev
	$(BIN)/pip-compile $(LOCK_OPTIONS) -o requirements/base.lock pyproject.toml
	for extra in station field openvino heic hsm stores elpv; do \
	  $(BIN)/pip-compile $(LOCK_OPTIONS) --extra $$extra -o requirements/$$extra.lock pyproject.toml; done
	@# Installed into one environment, so each of these takes the versions of those before it.
	$(BIN)/pip-compile $(LOCK_OPTIONS) -c requirements/stores.lock --extra central -o requirements/central.lock pyproject.toml
	for extra in cluster dev; do $(BIN)/pip-compile $(LOCK_OPTIONS) -c requirements/stores.lock -c requirements/central.lock \
	  --extra $$extra -o requirements/$$extra.lock pyproject.toml; done
	$(BIN)/pip-compile $(LOCK_OPTIONS) -c requirements/central.lock --extra meaning -o requirements/meaning.lock pyproject.toml
	for version in $(EDGE_PYTHONS); do \
	  python=$$(.ci/find-python $$version) && $(MAKE) .venv-$$version/ready PYTHON=$$python && \
	  .venv-$$version/bin/python -m pip install -q pip-tools && .venv-$$version/bin/pip-compile $(LOCK_OPTIONS) \
	    --extra station --extra edge-test -o requirements/edge-$$version.lock pyproject.toml; done
LOCK_OPTIONS := -q --no-header --strip-extras --no-emit-index-url --no-emit-find-links --no-annotate

# onnxruntime-gpu takes the place of onnxruntime, whose folder it shares. TensorRT's libraries come from NVIDIA's own
# index, which pip must have been told of; without them its tests are skipped.
.venv-gpu/ready: requirements/central.lock requirements/dev.lock pyproject.toml
	$(PYTHON) -m venv .venv-gpu
	.venv-gpu/bin/python -m pip install -q -r requirements/central.lock -r requirements/dev.lock
	.venv-gpu/bin/python -m pip uninstall -q -y onnxruntime
	.venv-gpu/bin/python -m pip install -q "onnxruntime-gpu[cuda,cudnn]>=1.27" "cuda-bindings>=13"
	.venv-gpu/bin/python -m pip install -q "tensorrt-cu13>=10.13,<11" || echo "no TensorRT: its tests will be skipped"
	touch $@

# A stamp is made last, so an interrupted install is taken up again.
.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv-%/ready: requirements/edge-%.lock
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install -q -r $<
	touch $@

.venv/central: .venv/bin/python requirements/central.lock pyproject.toml
	$(BIN)/python -m pip install -q -r requirements/central.lock
	$(BIN)/python -m pip install -q --no-deps -e .
	touch $@

.venv/station: .venv/central requirements/station.lock
	$(BIN)/python -m pip install -q -r requirements/station.lock
	touch $@

DEV_LOCKS := dev elpv meaning heic cluster stores  # heic: the types of its library are checked, and its tests run
.venv/dev: .venv/central $(addprefix requirements/,$(addsuffix .lock,$(DEV_LOCKS)))
	$(BIN)/python -m pip install -q $(addprefix -r requirements/,$(addsuffix .lock,$(DEV_LOCKS)))
	touch $@
