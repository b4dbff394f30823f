from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from augment.evaluation import arm_comparison, metrics
from augment.evaluation.tables import points, table
from augment.record_types import ImageCounts, Interval
from augment.records import DATASET, STAGES, TRAINING, Document, RunFolder
from augment.settings import Settings
from augment.stages import compare, train
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.preprocess import PreprocessSpec
from edge_runtime.media.image_files import read_image
from export.checkpoint import load_checkpoint
from export.network import FrameNetwork
from tests.support.drawn_run import COUNTS, LABELS, tiny_run


@pytest.fixture(scope="module")
def compared(tmp_path_factory) -> tuple[Settings, RunFolder, Document]:
    settings, folder = tiny_run(tmp_path_factory.mktemp("compared"))
    settings = replace(settings, train=replace(settings.train, steps=30, evaluate_every=10))
    train.run(settings, folder)
    return settings, folder, compare.run(settings, folder)


def truth_and_predictions(document: Document, training: str) -> tuple[np.ndarray, np.ndarray]:
    pairs = [(record.label, record.predicted[training]) for record in document.records]
    return tuple(np.array([LABELS.index(label) for label in column]) for column in zip(*pairs, strict=True))


def test_one_record_per_test_image_and_nothing_else(compared):
    _, folder, document = compared
    expected = [record for record in folder.require(DATASET).records if record.split == "test"]
    assert [(r.id, r.label, r.group) for r in document.records] == [
        (r.id, r.label, r.group) for r in sorted(expected, key=lambda record: record.id)
    ]
    assert set(document.records[0].predicted) == {record.id for record in folder.require(TRAINING).records}
    assert document.summary.test.images == sum(COUNTS["test"])
    assert document.summary.test.per_class["breaker_burnt"] == ImageCounts(images=5, groups=3)


def test_the_summary_says_what_the_records_say(compared):
    _, _, document = compared
    arm = document.summary.arms["combined"]
    found = [metrics.metrics(*truth_and_predictions(document, f"combined/seed-{seed}")) for seed in (0, 1)]
    for metric in metrics.METRICS:
        values = [entry[metric] for entry in found]
        assert arm.metrics[metric].per_seed == pytest.approx(values)
        assert arm.metrics[metric].value == pytest.approx(np.mean(values))
        assert arm.metrics[metric].std == pytest.approx(np.std(values, ddof=1))
    assert np.sum(arm.confusion) == 2 * sum(COUNTS["test"])
    right = np.trace(arm.confusion) / np.sum(arm.confusion)
    assert arm.metrics["accuracy"].value == pytest.approx(right)
    assert arm.recall["breaker_burnt"].value == pytest.approx(arm.confusion[0][0] / 10)


def test_differences_are_of_each_arm_to_the_baseline(compared):
    _, _, document = compared
    summary = document.summary
    assert set(summary.differences) == {"synthetic", "combined"}
    change = summary.differences["combined"].metrics["macro_f1"]
    values = [summary.arms[arm].metrics["macro_f1"].value for arm in ("combined", "real")]
    assert change.value == pytest.approx(values[0] - values[1])
    assert change.low <= change.value <= change.high
    expected = "PASS" if change.low > 0 else "FAIL" if change.high < 0 else "INCONCLUSIVE"
    assert summary.verdict == summary.differences["combined"].verdict == expected
    assert 0 <= summary.differences["combined"].mcnemar.p <= 1


def test_test_images_go_through_the_preprocessing_of_the_edge(compared):
    settings, folder, document = compared
    network, card = load_checkpoint(folder.path / "training/real/seed-1")
    spec = PreprocessSpec.from_json(card["input"])
    edge = FrameNetwork(network, spec)
    images = {record.id: record for record in folder.require(DATASET).records}
    kept = load_file(folder.path / "comparison/logits/real/seed-1.safetensors")["logits"]
    for row, record in enumerate(document.records[:5]):
        frame = spec.apply(read_image(compare.ImageStore(settings).path(images[record.id])).frame)
        logits, _ = edge(torch.from_numpy(frame[None]))
        assert np.allclose(logits[0].numpy(), kept[row], atol=1e-4)
        assert record.predicted["real/seed-1"] == LABELS[int(kept[row].argmax())]


def test_a_second_run_returns_the_same_document_and_a_lost_one_is_made_again(compared):
    settings, folder, document = compared
    assert compare.run(settings, folder).version == document.version
    (folder.path / "comparison/v0001.json").unlink()
    (folder.path / "comparison/logits/real/seed-0.safetensors").unlink()
    assert compare.run(settings, folder).digest == document.digest


def test_a_changed_checkpoint_is_refused(tmp_path):
    settings, folder = tiny_run(tmp_path)
    settings = replace(settings, train=replace(settings.train, arms=("real", "combined"), seeds=1, steps=1))
    train.run(settings, folder)
    for name in ("model.safetensors", "card.json"):
        source = folder.path / "training/combined/seed-0" / name
        (folder.path / "training/real/seed-0" / name).write_bytes(source.read_bytes())
    with pytest.raises(InputError, match="not what the training document describes"):
        compare.run(settings, folder)


def test_an_arm_that_was_not_trained_is_told_and_the_other_one_stands_alone(compared):
    settings, folder, _ = compared
    wanted = replace(settings, compare=replace(settings.compare, candidate="adapted"))
    document = compare.run(wanted, folder)
    assert document.summary.candidate == document.summary.baseline == "real"
    assert "arm adapted was not trained; name it in train.arms" in document.summary.why
    assert document.summary.verdict == "INCONCLUSIVE"


def test_a_run_without_test_images_is_refused(tmp_path):
    settings, folder = tiny_run(tmp_path)
    settings = replace(settings, train=replace(settings.train, arms=("real", "combined"), seeds=1, steps=1))
    train.run(settings, folder)
    dataset = folder.require(DATASET)
    later = [folder.require(stage) for stage in STAGES[1 : STAGES.index(TRAINING) + 1]]
    parent = folder.write(replace(dataset, records=[record for record in dataset.records if record.split != "test"]))
    for document in later:
        parent = folder.write(replace(document, inputs=replace(document.inputs, parent=parent.digest)))
    with pytest.raises(InputError, match=r"set apart for testing; raise data\.test_share"):
        compare.run(settings, folder)


def test_the_table_is_aligned_marks_faults_and_ends_with_the_verdict(compared):
    _, _, document = compared
    lines = table(document.summary).splitlines()
    assert lines[0].startswith(f"{sum(COUNTS['test'])} test images in ")
    assert any(line.startswith("! breaker_burnt") for line in lines)
    assert any(line.startswith("  breaker_ok") for line in lines)
    assert lines[-1].endswith(f"verdict on macro F1: {document.summary.verdict}")
    assert document.summary.verdict in compare.summary_line(document)


def test_points_are_signed():
    assert points(Interval(value=0.031, low=-0.004, high=0.066)) == "+3.1 (-0.4 to +6.6) points"


def test_fault_or_not_asks_whether_and_not_which():
    truth = arm_comparison.Truth(("sound", "hot", "oily"), ("hot", "oily"), np.array([0, 0, 1, 2]), list("abcd"))
    # Right; taken for a fault; the wrong fault; two faults that are likelier together than sound equipment is.
    logits = np.log([[[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7], [0.4, 0.3, 0.3]]])
    draws = metrics.draw(truth.targets, truth.groups, 1, 50, np.random.default_rng(0))
    arm = arm_comparison.ArmScores(truth, arm_comparison.ArmAnswers.by_argmax(truth, logits), draws)
    assert arm.mean(metrics.FAULT_OR_NOT) == pytest.approx(3 / 4)
    assert arm.mean(metrics.FAULT_RECALL) == 0
    assert arm.mean("accuracy") == pytest.approx(1 / 4)
    assert set(np.unique(arm.resampled.metrics[metrics.FAULT_OR_NOT])) <= {0.5, 0.75, 1.0}
