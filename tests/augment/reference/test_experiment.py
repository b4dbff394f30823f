"""The reference experiment, rehearsed whole on small folders that are laid out as the published models are."""

import json
import shutil

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from augment.cli import main
from augment.pipeline import run_pipeline
from augment.records import COMPARISON, RunFolder
from augment.reference.experiment import Ask, reproduce
from augment.reference.protocol import Sizes
from augment.settings import load_settings
from augment.study import Plan, pool
from edge_runtime.bundle.errors import InputError
from export.network import build_network
from tests.support import pictures as made

LABELS = ("Bengal", "Boxer")
TINY = Sizes(
    train=3, validation=2, generated=1, painted_side=32, painting_steps=1, training_steps=2, evaluate_every=2, side=32,
    captions=1, attempts=4, rounds=1, test=2, width=8, batch=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def models(published, tmp_path_factory):
    """What --models names: the three models, and initial weights of a narrow network."""
    place = tmp_path_factory.mktemp("models")
    for kind, folder in published.items():
        shutil.copytree(folder, place / kind)
    torch.manual_seed(0)
    weights = build_network("resnet50", 2, TINY.width).state_dict()
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, place / "resnet50.safetensors")
    return place


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    place, generator = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for label in LABELS:
        for number in range(8):
            (place / label).mkdir(exist_ok=True)
            frame = cv2.resize(generator.integers(0, 256, (6, 8, 3), np.uint8), (64, 48))
            made.write(place / label / f"{label}_{number}.png", frame)
    return place


@pytest.fixture(scope="module")
def done(models, pictures, tmp_path_factory):
    """The experiment after its first call."""
    out = tmp_path_factory.mktemp("reference")
    ask = Ask(out, 1, str(pictures), models, yes=True, sizes=TINY)
    return ask, called(ask)


def called(ask):
    def pooled(pipelines, baseline):
        return pool(Plan(ask.out, [[pipeline] for pipeline in pipelines]), baseline)

    return reproduce(ask, run_pipeline, pooled)


def test_ours_stands_beside_the_published_figures(done):
    ask, said = done
    results = json.loads((ask.out / "reference.json").read_bytes())
    assert results["published"]["accuracy"] == {"real": 0.6228, "combined": 0.7255}
    assert set(results["against_real"]["arms"]) >= {"real", "real+balanced", "combined"}
    assert results["against_strongest_real"]["baseline"] == results["strongest_real"]["arm"]
    for text in ("62.28 %", "72.55 %", "+10.27 points", "A rehearsal"):
        assert text in said
        assert text in (ask.out / "index.html").read_text()


def test_a_second_call_finds_everything_done_and_says_the_same(done):
    ask, said = done
    before = {path: path.stat().st_mtime_ns for path in (ask.out / "draw-0").rglob("v*.json")}
    assert called(ask) == said
    assert {path: path.stat().st_mtime_ns for path in (ask.out / "draw-0").rglob("v*.json")} == before
    assert len(before) == 8


def test_test_pictures_are_the_same_in_every_draw_and_training_pictures_are_not(done):
    ask, _ = done
    lines = (ask.out / "draw-0.csv").read_text().splitlines()
    sides = {side: {line for line in lines if line.endswith(f",{side}")} for side in ("train", "val", "test")}
    assert {side: len(found) for side, found in sides.items()} == {"train": 6, "val": 4, "test": 4}
    tested = {record.id for record in RunFolder(ask.out / "draw-0").require(COMPARISON).records}
    assert len(tested) == 4


def test_a_model_that_became_another_ends_it_before_anything_runs(done, models):
    ask, _ = done
    path = models / "gpt2" / "config.json"
    content = path.read_bytes()
    path.write_bytes(content + b" ")
    with pytest.raises(InputError, match=r"gpt2: config\.json are not the files of the first start"):
        called(ask)
    path.write_bytes(content)


def test_weights_that_arrived_in_part_are_told_from_whole_ones(done, models, tmp_path):
    ask, _ = done
    path = models / "blip" / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1000])
    with pytest.raises(InputError, match="is not whole"):
        called(ask)
    path.write_bytes(content)


def test_without_models_the_hub_is_asked_for_fixed_commits(tmp_path):
    from augment.reference.protocol import MODELS, settings_of
    from augment.settings import DataSettings

    settings = settings_of(DataSettings(source="x"), tmp_path, 0, Sizes(), None)
    revisions = {settings.caption.revision, settings.refine.revision, settings.generate.revision}
    assert revisions == {model.revision for model in MODELS}
    assert all(len(revision) == 40 for revision in revisions)
    assert settings.contradictions() == []


def test_nobody_to_ask_and_no_yes_is_refused_before_anything_is_fetched(models, pictures, tmp_path):
    with pytest.raises(InputError, match="add --yes"):
        called(Ask(tmp_path / "out", 1, str(pictures), models, sizes=TINY))
    assert not (tmp_path / "out" / "data").exists()


def test_an_out_that_cannot_be_made_is_told_in_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"--out .*file/out cannot be made"):
        called(Ask(tmp_path / "file" / "out", 1, sizes=TINY))


@pytest.mark.parametrize(
    ("name", "option"), [("scenes", "--rehearsal"), ("reference", "--split=random"), ("reference", "--jobs=2")]
)
def test_an_option_of_another_benchmark_is_refused_and_not_overlooked(tmp_path, name, option):
    done = CliRunner().invoke(main, ["benchmark", name, "--out", str(tmp_path), option])
    assert done.exit_code == 2
    assert f"benchmark {name} has no option {option.partition('=')[0]}" in done.output


def test_the_settings_of_a_draw_are_those_that_were_written(done):
    ask, _ = done
    settings = load_settings(ask.out / "draw-0")
    assert (settings.seed, settings.train.seeds, settings.compare.candidate) == (0, 1, "combined")
