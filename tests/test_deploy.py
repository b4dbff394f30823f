"""What lies in deploy/: the unit as systemd reads it, the example settings, the alert rules."""

import re
import shutil
import subprocess

import pytest

from edge_runtime.station.settings import load_station_settings
from tests.support import ROOT

DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "rarefault-station.service"
NEEDS_SYSTEMD = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


@NEEDS_SYSTEMD
def test_systemd_accepts_the_unit():
    output = subprocess.run(
        ["systemd-analyze", "verify", str(UNIT)], capture_output=True, text=True, check=False
    ).stderr
    others = [line for line in output.splitlines() if "/opt/rarefault/bin/edge-station is not executable" not in line]
    assert others == []


@NEEDS_SYSTEMD
def test_the_unit_is_hardened():
    command = ["systemd-analyze", "security", "--offline=true", str(UNIT)]
    output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", output)
    assert exposure, output
    assert float(exposure[1]) < 3  # of ten


def test_the_unit_leaves_time_for_what_the_service_promises():
    unit = dict(re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE))
    assert unit["Type"] == "notify"
    assert int(unit["WatchdogSec"]) > 10  # told once a second
    assert int(unit["TimeoutStopSec"]) > 5
    assert unit["Restart"] == "always"


def test_the_example_settings_load():
    settings = load_station_settings(DEPLOY / "station.toml")
    assert [camera.name for camera in settings.camera] == ["yard-3", "gate"]


def test_every_metric_of_the_alerts_is_one_that_the_service_tells(tmp_path):
    pytest.importorskip("prometheus_client", reason="the extra `station` is not installed")
    from edge_runtime.alerts.outbox import Outbox
    from edge_runtime.alerts.outbox_spool import OutboxSpool
    from edge_runtime.station.metrics import Metrics

    metrics, outbox = Metrics(), Outbox(tmp_path, ["mqtt"])
    metrics.watch(outbox, OutboxSpool(outbox), {"mqtt": lambda: ""})
    known = set(re.findall(r"^# TYPE (\w+)", metrics.text().decode(), re.MULTILINE))
    outbox.close()
    assert set(re.findall(r"rarefault_\w+", (DEPLOY / "alerts.yml").read_text())) <= known
