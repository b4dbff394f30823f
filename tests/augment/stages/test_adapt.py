"""The adapter: what it is measured by, when it stops, that it teaches, and that a killed training goes on."""

from dataclasses import replace

import numpy as np
import pytest

from augment.mini.scenes import write_station
from augment.models.registry import Models
from augment.record_types import AdapterRecord, Memorisation
from augment.records import CAPTIONS, DATASET, RunFolder
from augment.stages import adapt, caption, dataset, refine
from augment.training import lora
from tests.support.rendered_run import labels, small_settings


def points(count: int, centre: int, seed: int) -> np.ndarray:
    """Unit vectors (count, 4) around one axis."""
    rows = 0.1 * np.random.default_rng(seed).standard_normal((count, 4)) + np.eye(4)[centre]
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_the_kernel_distance_of_two_pairs_on_paper():
    one, other = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[0.0, 1.0], [0.0, 1.0]])
    assert adapt.kernel_distance(one, one) == pytest.approx(0)
    assert adapt.kernel_distance(one, other) == pytest.approx(8 + 8 - 2)  # (1 + 1)^3 twice, (0 + 1)^3 between


def test_samples_of_one_distribution_are_nearer_than_samples_of_two():
    same = adapt.kernel_distance(points(60, 0, 1), points(60, 0, 2))
    assert abs(same) < 0.1 < adapt.kernel_distance(points(60, 0, 1), points(60, 1, 2))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    write_station(folder, dict(zip(labels(), (10, 6, 10, 6), strict=True)), seed=7, size=96)
    return folder


def run_folder(path, images, **section):
    settings = small_settings(images)
    section = {"steps": 4, "evaluate_every": 2, "look_images": 8, "batch_size": 4, "patience": 5, **section}
    settings = replace(
        settings,
        adapt=replace(settings.adapt, **section),
        generate=replace(settings.generate, methods=("adapted-text2img",)),
    )
    folder, models = RunFolder(path), Models(settings)
    dataset.run(settings, folder)
    for stage in (caption, refine):
        stage.run(settings, folder, models)
    return settings, folder


def test_it_learns_from_each_image_with_its_own_caption(tmp_path, images, monkeypatch):
    settings, folder = run_folder(tmp_path, images)
    learned = []
    monkeypatch.setattr(lora.Adaptation, "loss", lambda self, latents, texts: learned.append((len(latents), texts)))
    adapt._Trainer(settings, folder, Models(settings))
    captions = {record.id: record.caption for record in folder.require(CAPTIONS).records}
    training = [record.id for record in folder.require(DATASET).records if record.split == "train"]
    assert settings.refine.contexts == "all"  # prompts have mixed contexts; these have not
    assert learned == [(len(training), [captions[image] for image in training])]


def test_evaluations_are_recorded_and_the_nearest_adapter_alone_is_kept(tmp_path, images):
    settings, folder = run_folder(tmp_path, images, learning_rate=3e-3)
    document = adapt.run(settings, folder, Models(settings))
    assert [record.step for record in document.records] == [0, 2, 4]
    best = min(document.records, key=lambda record: record.distance)
    kept = [path.name for path in (tmp_path / "adapter").iterdir() if path.is_dir()]
    assert document.summary.best_step == best.step
    assert kept == ([best.id] if best.step else [])
    assert document.summary.path == (f"adapter/{best.id}" if best.step else None)
    looks = [record for record in folder.require(DATASET).records if record.split == "val"]
    assert best.memorisation.painted == min(len(looks), settings.adapt.look_images) > 1
    assert not (tmp_path / "adapter" / adapt.STATE_FILE).exists()
    assert adapt.run(settings, folder, Models(settings)).version == document.version


def test_a_killed_training_ends_like_one_that_was_not(tmp_path, images):
    settings, whole = run_folder(tmp_path / "whole", images)
    expected = adapt.run(settings, whole, Models(settings))
    _, folder = run_folder(tmp_path / "killed", images)
    evaluation = adapt.Evaluation(settings, folder, Models(settings))

    def dying(name, step, path):
        if step == 4:
            raise KeyboardInterrupt
        return evaluation.evaluate(name, step, path)

    with pytest.raises(KeyboardInterrupt):
        adapt.run(settings, folder, Models(settings), dying)
    assert adapt.run(settings, folder, Models(settings)).digest == expected.digest


def evaluated(name, step, distance):
    memorisation = Memorisation(
        median_nearest_painted=0.2, median_nearest_validation=0.3, nearer_than_any_validation_image=0, painted=6
    )
    return AdapterRecord(id=name, step=step, distance=distance, memorisation=memorisation)


def test_it_stops_when_the_match_no_longer_improves(tmp_path, images):
    settings, folder = run_folder(tmp_path, images, steps=10, patience=1)
    distances = iter([0.5, 0.4, 0.45, 0.1])
    document = adapt.run(
        settings, folder, Models(settings), lambda name, step, path: evaluated(name, step, next(distances))
    )
    assert [record.distance for record in document.records] == [0.5, 0.4, 0.45]
    assert document.summary.best_step == 2
    assert adapt.summary_line(document) == "step 2: distance to the validation images 0.5000 -> 0.4000"


def test_an_adapter_that_does_no_good_is_not_kept(tmp_path, images):
    settings, folder = run_folder(tmp_path, images)
    document = adapt.run(
        settings, folder, Models(settings), lambda name, step, path: evaluated(name, step, 0.3 if path else 0.2)
    )
    assert (document.summary.path, document.summary.sha256, document.summary.best_step) == (None, None, 0)
    assert "no adapter kept" in adapt.summary_line(document)


def test_nothing_is_trained_where_no_method_asks(tmp_path, images):
    settings, folder = run_folder(tmp_path, images)
    settings = replace(settings, generate=replace(settings.generate, methods=("text2img",)))
    models = Models(settings)
    document = adapt.run(settings, folder, models)
    assert (document.records, document.summary.path) == ([], None)
    assert not {"painter", "embedder"} & vars(models).keys()
