# `make demo` and `make test` are all a fresh machine needs; both are safe to repeat.
PYTHON ?= python3
BIN := .venv/bin
DEMO ?= demo

.PHONY: demo test chromium mosquitto faketime rtsp check bench clean lock

demo: .venv/central
	$(BIN)/rarefault demo --out $(DEMO)

test: .venv/dev chromium mosquitto faketime rtsp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal  # one thread a worker: more would spin against each other

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
	$(BIN)/mypy edge_runtime export

bench: .venv/dev
	$(BIN)/python -m benchmarks.kill_resume

clean:
	rm -rf .venv build dist demo .pytest_cache .mypy_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Rewrites the lock files from pyproject.toml; look at the difference before committing it.
lock: .venv/dev
	$(BIN)/pip-compile $(LOCK_OPTIONS) -o requirements/base.lock pyproject.toml
	for extra in station openvino central elpv dev; do \
	  $(BIN)/pip-compile $(LOCK_OPTIONS) --extra $$extra -o requirements/$$extra.lock pyproject.toml; done
	$(BIN)/pip-compile $(LOCK_OPTIONS) -c requirements/central.lock --extra meaning -o requirements/meaning.lock pyproject.toml
LOCK_OPTIONS := -q --no-header --strip-extras --no-emit-index-url --no-emit-find-links --no-annotate

# A stamp is made last, so an interrupted install is taken up again.
.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/central: .venv/bin/python requirements/central.lock pyproject.toml
	$(BIN)/python -m pip install -q -r requirements/central.lock
	$(BIN)/python -m pip install -q --no-deps -e .
	touch $@

.venv/dev: .venv/central requirements/dev.lock requirements/elpv.lock requirements/meaning.lock
	$(BIN)/python -m pip install -q -r requirements/dev.lock -r requirements/elpv.lock -r requirements/meaning.lock
	touch $@
