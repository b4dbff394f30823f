"""`rarefault station-demo`, run whole as a person would: page, first alarm, maintenance, an end without remains."""

import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from augment.station_demo.cameras import IN_MAINTENANCE
from augment.station_demo.operator import Operator
from tests.support.interrupts import HEARING_INTERRUPTS
from tests.support.sample_events import wait_until

for package in ("argon2", "starlette", "uvicorn"):
    pytest.importorskip(package, reason="the page needs the extra station")
PROMISED_SECONDS = 60.0  # until the first alarm is on the page


@pytest.fixture
def demo(tmp_path):
    """The running command, its output so far, and when it began."""
    command = [sys.executable, "-m", "augment.cli", "station-demo", "--no-browser"]
    output = tmp_path / "output"
    with output.open("wb") as file, socket.create_server(("127.0.0.1", 0)) as taken:
        command += ["--out", str(tmp_path / "out"), "--port", str(taken.getsockname()[1])]
        process = subprocess.Popen([*HEARING_INTERRUPTS, *command], stdout=file, stderr=file)
        yield process, output
    if process.poll() is None:
        process.terminate()
        process.wait(60)


def processes_of(folder):
    """Commands that name a folder."""
    listed = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if f"{folder}/out/station.toml" in line]


def test_the_first_alarm_is_on_the_page_within_a_minute_and_an_interrupt_ends_all(demo, tmp_path):
    process, output = demo
    began = time.monotonic()
    told = wait_until(lambda: re.search(r"page: (http://\S+)\n  operator  password (\w+)\n", output.read_text()))
    assert "is taken, so the page has another one" in output.read_text()
    person = Operator(told[1], "operator", told[2])
    wait_until(lambda: re.search(r"/events/[0-9a-f-]{36}", person.read("/events")))
    seconds = time.monotonic() - began
    assert seconds < PROMISED_SECONDS
    assert "leaking_transformer" in person.read("/events")
    assert f"End the maintenance of {IN_MAINTENANCE}" in person.read("/cameras")
    assert processes_of(tmp_path)
    accounts = (tmp_path / "out" / "users.toml").read_bytes()
    second = [sys.executable, "-m", "augment.cli", "station-demo", "--no-browser", "--out", str(tmp_path / "out")]
    refused = subprocess.run(second, capture_output=True, text=True, timeout=120)
    assert refused.returncode == 1
    assert "another demo runs in" in refused.stderr
    assert (tmp_path / "out" / "users.toml").read_bytes() == accounts
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0, output.read_text()
    assert processes_of(tmp_path) == []


def test_a_folder_without_a_bundle_is_refused(tmp_path):
    command = [sys.executable, "-m", "augment.cli", "station-demo", "--no-browser", "--bundle", str(tmp_path)]
    done = subprocess.run([*command, "--out", str(tmp_path / "out")], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "holds no manifest.json; give a bundle's folder, such as demo/bundle" in done.stderr
