"""`edge-station update`, `import-update`, `trust` and `rollback` as processes, on a real signed repository."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tuf", reason="the extra `station` is not installed")
pytest.importorskip("paho.mqtt", reason="the extra `station` is not installed")

from edge_runtime.bundle.store import open_bundle
from edge_runtime.station.settings import load_station_settings
from edge_runtime.updates.errors import Reason
from edge_runtime.updates.state import Stage, UpdateState, load
from edge_runtime.updates.trusted_repository import Release
from edge_runtime.updates.update_process import fail, start_probation
from tests.support import live_models
from tests.support.tuf_repository import TufRepository

SETTINGS = """
[station]
name = "north-7"
state_dir = "state"
{bundle}
engine = "cpu"
precision = "fp32"
[[camera]]
name = "yard"
url = "usb:0"
[updates]
most_latency = 100
{updates}
"""


class Site:
    """A station's settings, and a repository that offers bundles to it."""

    def __init__(self, folder: Path, factory: Path) -> None:
        self.folder, self._factory = folder, factory
        self.config, self.repository = folder / "station.toml", TufRepository(folder / "repository")
        (folder / "ROOT.json").write_bytes(self.repository.first_root)
        self.configure('url = "repository"')

    def configure(self, updates: str, bundle: str | None = None) -> None:
        """Write the settings, with `bundle` as the line of the factory bundle where it is given."""
        line = f'bundle = "{self._factory}"' if bundle is None else bundle
        self.config.write_text(SETTINGS.format(bundle=line, updates=updates))

    def offer(self, number: int, **bad: object) -> str:
        """Publish a bundle as release `number`; return its digest."""
        bundle = live_models.make_version(self.folder / f"version-{number}", str(number), **bad)
        self.repository.put_folder(bundle.folder)
        self.repository.put_release("all", bundle.digest, number)
        self.repository.publish(("targets", "group-all"))
        return bundle.digest

    def call(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "edge_runtime.station", *arguments, "--config", str(self.config)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    def state(self) -> UpdateState:
        return load(load_station_settings(self.config).station.state_dir)


@pytest.fixture
def site(tmp_path: Path, packed: Path) -> Site:
    return Site(tmp_path, packed)


def test_an_update_is_brought_up_to_the_hand_over_and_given_up_by_a_person(site, packed):
    digest = site.offer(1)
    assert "FAIL  updates: " in site.call("check").stdout  # nobody is trusted yet
    assert site.call("trust", str(site.folder / "ROOT.json")).returncode == 0
    offered = f"ok    updates: {site.repository.folder} offers release 1 (yard 1) to all\n"
    assert offered in site.call("check").stdout
    done = site.call("update")
    assert done.returncode == 0, done.stderr
    assert "release 1 (yard 1) is at golden_ok: the service tries it at its next start" in done.stdout
    assert site.state().candidate == digest
    done = site.call("rollback")
    serves = f"{open_bundle(packed).folder.resolve()} serves from the next start of the service"
    assert done.stdout == f"release 1 (yard 1) is given up: {serves}\n"
    assert (site.state().stage, site.state().reason) == (Stage.FAILED, "rolled_back")
    assert "no slot to go back to" in site.call("rollback").stderr
    again = site.call("update")
    assert again.returncode == 1  # the same release is not tried by itself
    assert "a person gave the candidate up" in again.stderr
    assert "is at golden_ok" in site.call("update", "--again").stdout


def test_a_stick_brings_a_bad_bundle_and_its_reason_is_told(site):
    def louder(model) -> None:
        model.graph.node[-1].output[0] = "quiet"
        model.graph.node.append(type(model.graph.node[0])(op_type="Add", input=["quiet", "quiet"], output=["logits"]))

    site.offer(1, change=louder)
    site.configure('root = "ROOT.json"')
    done = site.call("import-update", str(site.repository.folder))
    assert done.returncode == 1
    assert "release 1 (yard 1) is refused (golden): " in done.stderr
    assert (site.repository.folder / "reports" / "north-7.json").exists()
    assert "no url; set it, or take the models from a stick" in site.call("update").stderr


def test_a_station_whose_first_model_waits_says_so_reports_and_can_give_it_up(site):
    digest = site.offer(1)
    site.configure('root = "ROOT.json"', bundle="")
    assert "has never run here\n" in site.call("status").stdout
    done = site.call("import-update", str(site.repository.folder))
    assert done.returncode == 0, done.stderr
    report = json.loads((site.repository.folder / "reports" / "north-7.json").read_text())
    assert (report["digest"], report["slot"], report["bundle"]) == ("", "", digest)
    text = site.call("status").stdout
    assert "  model: none can serve, slot none\n  update to release 1: golden_ok since" in text
    done = site.call("rollback")
    assert (done.returncode, done.stdout) == (0, "release 1 (yard 1) is given up: no model serves yet\n")


def test_a_first_model_that_failed_and_serves_for_want_of_another_never_counts_as_kept(site):
    digest = site.offer(1)
    site.configure('url = "repository"\nroot = "ROOT.json"', bundle="")
    assert site.call("update").returncode == 0
    slots = load_station_settings(site.config).station.slots
    start_probation(slots)
    fail(slots, Reason.PROBATION_ALARMS, "many")
    assert slots.is_current(digest)
    done = site.call("update")
    assert done.returncode == 1
    assert "is refused (probation_alarms): many; there is no other model to go back to" in done.stderr
    assert "is at golden_ok" in site.call("update", "--again").stdout


def test_a_folder_that_is_no_repository_gets_no_report(site, packed):
    site.configure('root = "ROOT.json"')
    done = site.call("import-update", str(packed))
    assert done.returncode == 1
    assert "has no folder metadata; give the folder that `rarefault stick` has filled" in done.stderr
    assert not (packed / "reports").exists()


def test_another_root_ends_the_update_that_the_one_before_had_begun(site, tmp_path):
    site.offer(1)
    assert site.call("trust", str(site.folder / "ROOT.json")).returncode == 0
    state_dir = load_station_settings(site.config).station.state_dir
    release = Release(1, "1" * 64, "yard", "1", "all")
    UpdateState().begun(release).at(Stage.FETCHED).save(state_dir)
    assert site.call("trust", str(site.folder / "ROOT.json")).returncode == 0
    assert site.state().stage is Stage.FETCHED  # nothing has changed
    (site.folder / "OTHER.json").write_bytes(TufRepository(tmp_path / "other").first_root)
    assert site.call("trust", str(site.folder / "OTHER.json")).returncode == 0
    assert site.state().release is None
    done = site.call("update")
    assert done.returncode == 1
    assert "is refused (signature)" in done.stderr


def test_without_trust_nothing_is_taken(site):
    site.offer(1)
    done = site.call("update")
    assert done.returncode == 1
    assert "edge-station trust ROOT.json" in done.stderr
    (site.folder / "ROOT.json").write_bytes(b"{}")
    done = site.call("trust", str(site.folder / "ROOT.json"))
    assert done.returncode == 1
    assert not site.state().candidate
