"""What a run needs of the machine is told before its first stage, by a hub and a machine that the tests make up."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from augment.models.model_folders import EMBEDDED
from augment.models.preflight import FILES, GIB, Machine, Preflight, missing_files, models_of, preflight
from augment.presets import PRESETS
from augment.records import STAGES
from augment.settings import DataSettings, Settings
from edge_runtime.bundle.errors import InputError, UnavailableError

COMMANDS = [stage.command for stage in STAGES]
CLASSES = {"leak": 10, "sound": 110}


@dataclass
class FakeHub:
    """A hub that knows all models but those called unknown; without `size` there is no network."""

    size: int | None = None
    asked: tuple[str, ...] = ()

    def model_bytes(self, reference: str, revision: str) -> int:
        self.asked = (*self.asked, reference)
        if self.size is None:
            raise UnavailableError("the hub cannot be reached (no network)")
        if "unknown" in reference:
            raise InputError("the hub answers 404: there is no such model, or it asks for a login (`hf auth login`)")
        return self.size

    def file_bytes(self, url: str) -> int:
        return self.model_bytes(url, "")


def machine(cores: int = 4, gpu: float = 0, free: float = 500, lacks: tuple[str, ...] = ()) -> Machine:
    """A machine with `gpu` GB of GPU memory and `free` GiB of disk."""
    return Machine(cores, int(gpu * 1e9), lambda path: int(free * GIB), lambda name: name not in lacks)


def settings(preset: str, **generate: object) -> Settings:
    found = PRESETS[preset]
    data = DataSettings(source="images", faults=("leak",))
    return replace(found, data=data, generate=replace(found.generate, **generate))


def looked_ahead(asked: Settings, hub: FakeHub, here: Machine, stages: list[str] = COMMANDS) -> Preflight:
    return preflight(asked, stages, CLASSES, here, hub, Path("run"))


def fatal(found: Preflight) -> list[str]:
    return [str(problem) for problem in found.problems if problem.fatal]


@pytest.mark.parametrize("preset", ["mini", "cpu"])
def test_presets_that_this_package_carries_need_no_hub(preset):
    hub = FakeHub()
    found = looked_ahead(settings(preset), hub, machine())
    assert (fatal(found), hub.asked) == ([], ())


@pytest.mark.parametrize("kind", ["blip", "gpt2", "stable-diffusion"])
def test_the_embedded_models_have_what_their_kind_needs_and_a_folder_without_weights_has_not(kind, tmp_path):
    assert missing_files(EMBEDDED / kind, kind) == []
    assert len(missing_files(tmp_path, kind)) > len(FILES[kind])


def test_an_offline_machine_is_told_of_every_model_and_how_to_bring_it():
    told = fatal(looked_ahead(settings("sd21"), FakeHub(), machine()))
    asked = settings("sd21")
    for reference in (asked.caption.model, asked.refine.model, asked.refine.meaning, asked.generate.model):
        assert any(f"`hf download {reference}`" in line for line in told)
    assert any("stable-diffusion-2-1 (about 4.8 GiB) is not on this machine" in line for line in told)
    assert any(line.startswith("generate.model: ") and "preset cpu" in line for line in told)


def test_a_model_that_the_hub_does_not_know_is_told_at_once():
    found = looked_ahead(settings("sd21", model="somebody/unknown"), FakeHub(size=1), machine())
    (line,) = fatal(found)
    assert "generate.model: model somebody/unknown is not on this machine, and the hub answers 404" in line


def test_models_that_do_not_fit_the_disk_are_told_with_both_sizes():
    found = looked_ahead(settings("sd21"), FakeHub(size=2 * GIB), machine(free=7))
    count = 4 + 1  # models, and the weights of ResNet-50
    (line,) = (line for line in fatal(found) if "to download take" in line)
    assert f"take {2 * count:.1f} GiB, and 7.0 GiB are free" in line


def test_a_local_folder_is_looked_into_and_a_path_to_nothing_is_no_hub_id(tmp_path):
    (tmp_path / "unet").mkdir()
    (tmp_path / "model_index.json").touch()
    (line,) = fatal(looked_ahead(settings("mini", model=str(tmp_path)), FakeHub(), machine()))
    assert "lacks unet/config.json, vae/config.json" in line
    assert "unet/*.safetensors" in line
    gone = settings("mini", model=str(tmp_path / "gone"))
    assert "does not exist" in fatal(looked_ahead(gone, FakeHub(), machine()))[0]


def test_only_what_the_asked_stages_use_is_looked_at():
    hub = FakeHub()
    assert fatal(looked_ahead(settings("sd21"), hub, machine(), ["compare", "export"])) == []
    assert hub.asked == ()
    assert {model.key for model in models_of(settings("mini"))} == set()


def test_a_missing_package_of_a_late_stage_is_told_before_the_first():
    (line,) = fatal(looked_ahead(settings("mini"), FakeHub(), machine(lacks=("onnx",))))
    assert line == "export: the package onnx is not installed; run `pip install 'rarefault[central]'`"


@pytest.mark.parametrize(("gpu", "too_small"), [(3, True), (4, False), (24, False)])
def test_a_gpu_that_is_too_small_for_the_generator_is_told_with_what_to_set(gpu, too_small):
    found = looked_ahead(settings("sd21"), FakeHub(size=GIB), machine(gpu=gpu))
    told = [str(problem) for problem in found.problems if "the GPU has" in str(problem)]
    assert bool(told) == too_small
    assert all('generate.low_memory = "offload"' in line for line in told)


def test_times_are_estimated_by_pictures_and_steps_for_processor_and_gpu():
    # 66 training pictures of the larger class, 6 of the smaller: 60 to paint, 25 steps, 2.25 times the area.
    download, *slow = looked_ahead(settings("sd21"), FakeHub(size=1), machine(cores=1)).estimates
    assert download.endswith("GiB are to be downloaded")
    assert slow[0].startswith("generate: about 60 pictures of 768 pixels with 25 steps each, about 14 hours")
    assert "preset cpu" in slow[0]
    assert slow[1].startswith("train: 15 trainings of up to 2000 steps")
    quick = looked_ahead(settings("sd21"), FakeHub(size=1), machine(gpu=24)).estimates
    assert quick[1:] == [
        "generate: about 60 pictures of 768 pixels with 25 steps each, about 4 minutes on a GPU like a TITAN RTX, more "
        "where pictures are rejected and painted again"
    ]
