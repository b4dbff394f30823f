import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("tuf", reason="the extra `field` is not installed")
from click.testing import CliRunner, Result

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.store import Bundle, open_bundle
from edge_runtime.classify.cli import main
from edge_runtime.classify.update import user_state_dir
from edge_runtime.updates.slots import Slots
from edge_runtime.updates.state import Stage, load
from tests.support.live_models import make_version
from tests.support.tuf_repository import TufRepository


class Laptop:
    """A technician's own folders, and a stick with a signed repository."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state = folder, folder / "data" / "rarefault"
        self.stick = TufRepository(folder / "stick")
        (folder / "root.json").write_bytes(self.stick.first_root)
        image = np.random.default_rng(1).integers(0, 30, (8, 8, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / "rust.png"), image + np.array([0, 0, 200], np.uint8))

    def offer(self, version: str, number: int) -> Bundle:
        bundle = make_version(self.folder / f"bundle-{version}", version)
        digest = self.stick.put_folder(bundle.folder)
        self.stick.put_release("all", digest, number)
        self.stick.publish(("targets", "group-all"))
        return bundle

    def run(self, *arguments: str) -> Result:
        environment = {"XDG_DATA_HOME": str(self.folder / "data"), "RAREFAULT_BUNDLE": None, "RAREFAULT_STATE": None}
        return CliRunner().invoke(main, arguments, env=environment)

    def update(self, *more: str) -> Result:
        return self.run(f"--update={self.stick.folder}", *more)

    def first_update(self) -> Result:
        return self.update("--trust", str(self.folder / "root.json"))


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    return Laptop(tmp_path)


def test_a_stick_brings_a_bundle_which_then_judges_pictures(laptop):
    bundle = laptop.offer("1", 1)
    done = laptop.first_update()
    assert (done.exit_code, done.stderr) == (0, "release 1, yard 1, serves\n")
    done = laptop.run(str(laptop.folder / "rust.png"), "--format", "jsonl")
    assert done.exit_code == 10, done.output
    assert json.loads(done.stdout)["model"]["digest"] == bundle.digest


def test_the_next_update_needs_neither_root_nor_address_and_judges_in_the_same_call(laptop):
    laptop.offer("1", 1)
    laptop.first_update()
    second = laptop.offer("2", 2)
    done = laptop.run(str(laptop.folder / "rust.png"), "--format", "jsonl", "--update")
    assert "release 2, yard 2, serves" in done.stderr
    assert json.loads(done.stdout)["model"]["digest"] == second.digest
    assert open_bundle(Slots(laptop.state).previous()).manifest.version == "1"


def test_a_forged_bundle_is_refused_and_the_one_before_serves_on(laptop):
    first = laptop.offer("1", 1)
    laptop.first_update()
    second = laptop.offer("2", 2)
    laptop.stick.file(f"bundles/{second.digest}/manifest.json").write_bytes(b"forged")
    done = laptop.update()
    assert done.exit_code == 1
    assert "the update is refused" in done.output
    assert done.output.count("the update is refused") == 1
    assert load(laptop.state).stage is Stage.FAILED
    assert Slots(laptop.state).current().name == first.digest


def test_a_damaged_slot_makes_way_for_the_one_before(laptop):
    first = laptop.offer("1", 1)
    laptop.first_update()
    laptop.offer("2", 2)
    laptop.update()
    (Slots(laptop.state).current() / "model.fp32.onnx").write_bytes(b"changed")
    done = laptop.run(str(laptop.folder / "rust.png"), "--format", "jsonl")
    assert "a damaged bundle is passed over" in done.stderr
    assert json.loads(done.stdout)["model"]["digest"] == first.digest


def test_a_folder_that_is_no_repository_is_told_once(laptop):
    laptop.offer("1", 1)
    laptop.first_update()
    (laptop.folder / "empty").mkdir()
    told = laptop.run(f"--update={laptop.folder / 'empty'}").output
    assert "empty has no metadata/timestamp.json" in told
    assert told.count("no repository can be reached there") == 1


def test_a_user_without_a_home_folder_is_told_what_to_set(laptop, monkeypatch):
    def unknown():
        raise RuntimeError("Could not determine home directory.")

    for variable in ("RAREFAULT_STATE", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(Path, "home", unknown)
    with pytest.raises(InputError, match="set RAREFAULT_STATE"):
        user_state_dir()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--update"], "give --update=URL, or the folder of a stick"),
        (["--update=nowhere"], "--trust ROOT.json"),
        (["x.png"], "fetch one with --update"),
        ([], "Missing argument 'PATH...'"),
        (["--trust", "root.json", "x.png"], "--trust goes with --update"),
        (["--update=nowhere", "--trust", "absent.json"], "absent.json cannot be read"),
    ],
)
def test_what_is_missing_is_told_in_a_sentence(laptop, arguments, sentence):
    done = laptop.run(*arguments)
    assert done.exit_code in (1, 2)
    assert sentence in done.output
