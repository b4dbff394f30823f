"""Stage 8, compare: every arm on the locked test set, with intervals, paired tests and a verdict.

Nothing that it finds goes back into a training.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
from safetensors.torch import save as save_torch
from torch import Tensor, nn

from augment.arrays import Labels, Numbers, Vectors, keep_arrays, kept_arrays
from augment.data.image_store import ImageStore
from augment.data.split import TEST
from augment.evaluation.arm_comparison import ArmAnswers, SpotTest, Truth, by_argmax, of_arms, summarise
from augment.evaluation.floor import below_floor, floor_of
from augment.evaluation.mending import LABEL, Judged
from augment.evaluation.pooling import Compared
from augment.evaluation.tables import METRIC_NAMES, points, support
from augment.json_objects import write_json
from augment.models.image_embedding import Fingerprints
from augment.models.model_folders import pick_device
from augment.progress import progress
from augment.record_types import (
    ComparisonRecord,
    ComparisonSummary,
    DatasetRecord,
    Floor,
    Mending,
    Suspect,
    TrainingRecord,
    TrainingSummary,
)
from augment.records import COMPARISON, DATASET, TRAINING, Document, RunFolder, StageInputs, digest_of, spread
from augment.report import contact_sheets
from augment.settings import Settings
from augment.spatial.spot_answers import Answered, Pictures, Trained, pointing, spot_test
from augment.training.arms import stand_in
from augment.training.finetune import classify, pooled_features
from augment.training.frame_cache import cached_frames
from augment.training.predictions import read_predictions
from edge_runtime.bundle.decision import DecisionRule, Rule
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import sha256_bytes
from edge_runtime.bundle.heads import SpatialHead, head_from_json
from edge_runtime.bundle.preprocess import Frames, PreprocessSpec
from edge_runtime.media.heatmap import overlay
from export.calibration import fit_temperature
from export.checkpoint import WEIGHTS_FILE, load_checkpoint
from export.parity import Runner, torch_runner

TrainingDocument = Document[TrainingRecord, TrainingSummary]
ComparisonDocument = Document[ComparisonRecord, ComparisonSummary]
Look = Callable[[Sequence[DatasetRecord], Sequence[str]], Numbers]
"""Pictures, and the label whose fault is meant in each -> (N, 2), where their maps peak, in pixels of the picture."""
MOST_MAPS, MAPS_OF_A_LABEL = 36, 3  # test pictures on the sheet of maps


@dataclass(frozen=True)
class Measured:
    """What the trainings say of the N test images: the answers of each arm, and the classes (N,) that each named.

    With spatial heads also what their measures take, how to see where a map peaks, and the path of a sheet of `maps`.
    """

    answers: Mapping[str, ArmAnswers]
    predicted: Mapping[str, Labels]
    spots: SpotTest | None = None
    look: Look | None = None
    maps: str | None = None


def run(settings: Settings, folder: RunFolder) -> ComparisonDocument:
    """Measure all trainings: one record per test image with every training's label, and the summary of the arms.

    Where an arm has a spatial head, all answer by the rule that a station would use, and what each sees of the faults
    is measured too; otherwise each answers with its likeliest class. RUN/comparison/logits/<arm>/seed-<n>.safetensors
    keeps the `logits` (N, K), in the order of the records, or what a spatial comparison needs beside them.
    """
    dataset, training = folder.require(DATASET), folder.require(TRAINING)
    others = {"seed": settings.seed, "dataset": dataset.digest}
    if training.summary.head:
        others["recall_target"] = settings.export.recall_target
        others |= {"specificity": aim} if (aim := settings.export.specificity) else {}
    weights = {record.id: record.sha256 for record in training.records}
    inputs = StageInputs.of(training.digest, settings.compare, others, weights)
    if done := folder.finished(COMPARISON, inputs):
        return done
    settings, why = _with_trained_arms(settings, training)
    images, truth = _tested(folder, training)
    measure = _by_rules if training.summary.head else _by_argmax
    measured = measure(settings, folder, training, images, truth)
    summary = summarise(settings, training.records, truth, measured.answers, measured.spots)
    summary = replace(summary, why=why, floor=_floor(settings, folder, images, truth))
    _write_mending(settings, folder, training, images, measured)
    return folder.write(Document(COMPARISON, inputs, _records(images, truth.labels, measured.predicted), summary))


def compared(settings: Settings, folder: RunFolder) -> Compared:
    """Return what the trainings of a finished run with a spatial head said, to be pooled with that of other runs."""
    training = folder.require(TRAINING)
    images, truth = _tested(folder, training)
    found = _by_rules(settings, folder, training, images, truth)
    assert found.spots  # where a head is spatial they are measured
    return Compared([record.id for record in images], truth, found.answers, found.spots)


def _tested(folder: RunFolder, training: TrainingDocument) -> tuple[list[DatasetRecord], Truth]:
    """Return the test images, sorted by id, and what is true of them."""
    records = folder.require(DATASET).records
    images = sorted((record for record in records if record.split == TEST), key=lambda record: record.id)
    if not images:
        raise InputError("no image is set apart for testing; raise data.test_share, and run `rarefault dataset` again")
    labels = tuple(training.summary.labels)
    targets = np.array([labels.index(record.label) for record in images])
    return images, Truth(labels, tuple(training.summary.fault_labels), targets, [record.group for record in images])


def summary_line(document: ComparisonDocument) -> str:
    """Say in one line what the stage found."""
    summary = document.summary
    change = summary.differences[summary.candidate].metrics[summary.metric]
    why = f" ({summary.why})" if summary.why else ""
    notes = [note for note in (support(summary), below_floor(summary)) if note]
    return (
        f"{summary.verdict}{why}: {METRIC_NAMES[summary.metric]} of {summary.candidate} minus {summary.baseline} is "
        f"{'; '.join([f'{points(change)} on {summary.test.images} test images', *notes])}"
    )


def _floor(settings: Settings, folder: RunFolder, images: Sequence[DatasetRecord], truth: Truth) -> Floor | None:
    """Return what the features that the dataset stage computed are worth; None where one class alone can be learnt."""
    known = [record for record in folder.require(DATASET).records if record.split != TEST]
    store, of = ImageStore(settings), {record.id: record for record in [*known, *images]}
    fingerprints = Fingerprints(settings, folder, pick_device(settings.device))
    vectors, _ = fingerprints.of(list(of), lambda item: store.frame(of[item]))
    targets = np.array([truth.labels.index(record.label) for record in known])
    if len(np.unique(targets)) < 2:
        return None
    name = str(fingerprints.identity["name"])
    return floor_of(vectors[: len(known)], targets, vectors[len(known) :], truth.targets, name)


# Class heads alone


def _by_argmax(
    settings: Settings, folder: RunFolder, training: TrainingDocument, images: Sequence[DatasetRecord], truth: Truth
) -> Measured:
    dataset, place = folder.require(DATASET), folder.subfolder(COMPARISON.document)
    spec = PreprocessSpec.from_json(training.summary.input)
    frames = cached_frames(place, images, spec, ImageStore(settings).frame, dataset.digest, "test images")
    seen, logits = _Backbones(frames, pick_device(settings.device)), {}
    for record in progress(training.records, len(training.records), "trainings compared"):
        path = place / "logits" / f"{record.id}.safetensors"  # a killed run keeps those it has
        key = digest_of([record.sha256, dataset.digest, spec.to_json()])
        logits[record.id] = _logits(folder.path / record.path, record, seen, path, key)
    calibrated = {r.id: logits[r.id] / temperature(folder.path / r.path) for r in training.records}
    predicted = {name: found.argmax(axis=1) for name, found in logits.items()}
    return Measured(by_argmax(truth, training.records, calibrated), predicted)


def temperature(checkpoint: Path) -> float:
    """Return the temperature that the validation predictions beside a checkpoint ask for."""
    found = read_predictions(checkpoint)
    return fit_temperature(found.logits, found.targets)


def _with_trained_arms(settings: Settings, training: TrainingDocument) -> tuple[Settings, str]:
    """Return settings whose baseline and candidate were trained, and what the comparison lacks, or "".

    An arm that was left out gives its place to the other one, and then there is nothing to tell apart.
    """
    section, records = settings.compare, training.records
    trained = {record.arm for record in records}
    baseline = section.baseline if section.baseline in trained else stand_in(section.candidate, records)
    candidate = section.candidate if section.candidate in trained else baseline
    known = training.summary.notes or {}
    notes = {arm: note for arm, note in known.items() if arm in (section.baseline, section.candidate)}
    unknown = sorted({section.baseline, section.candidate} - trained - set(notes))
    notes |= dict.fromkeys(unknown, "was not trained; name it in train.arms and run `rarefault train`")
    why = "; ".join(f"arm {arm} {note}" for arm, note in notes.items())
    return replace(settings, compare=replace(section, baseline=baseline, candidate=candidate)), why


class _Backbones:
    """The features of the test frames; of networks that differ in their classifier alone they are computed once."""

    def __init__(self, frames: Frames, device: str) -> None:
        self._frames, self._device = frames, device
        self._latest: tuple[str, Tensor] | None = None

    def logits(self, network: nn.Module) -> Vectors:
        """Return the logits (N, K) of the test frames."""
        network.to(self._device)
        prefix = f"{network.classifier}."
        state = {name: t for name, t in network.state_dict().items() if not name.startswith(prefix)}
        digest = sha256_bytes(save_torch({name: tensor.contiguous() for name, tensor in state.items()}))
        if self._latest is None or self._latest[0] != digest:
            self._latest = digest, pooled_features(network, self._frames, self._device)
        return classify(network, self._latest[1])


def _logits(checkpoint: Path, record: TrainingRecord, seen: _Backbones, path: Path, key: str) -> Vectors:
    if known := kept_arrays(path, key):
        return known["logits"]
    logits = seen.logits(_network(checkpoint, record))
    keep_arrays(path, {"logits": logits}, key)
    return logits


def _network(checkpoint: Path, record: TrainingRecord) -> nn.Module:
    """Return the network of a training. InputError where the checkpoint is another's."""
    network, card = load_checkpoint(checkpoint)
    if card["files"][WEIGHTS_FILE]["sha256"] != record.sha256:
        raise InputError(f"{checkpoint} is not what the training document describes; run `rarefault train` again")
    return network


# Spatial heads, and class heads beside them


def _by_rules(
    settings: Settings, folder: RunFolder, training: TrainingDocument, images: Sequence[DatasetRecord], truth: Truth
) -> Measured:
    asked = head_from_json(training.summary.head or {}, truth.labels)
    if not isinstance(asked, SpatialHead):
        raise InputError("the training document names a head that is not spatial; run `rarefault train` again")
    trained = {record.id: Trained.read(folder.path / record.path) for record in training.records}
    pictures = Pictures(images, ImageStore(settings), settings.seed)
    answered = _answered(folder, training, pictures, trained)
    aims = settings.export.recall_target, settings.export.specificity
    rules = {name: found.rule(truth.faults, *aims) for name, found in trained.items()}
    arms = {arm: [own.id for own in records] for arm, records in of_arms(training.records).items()}
    answers = {
        arm: ArmAnswers.by_rule(truth, [rules[name] for name in own], [answered[name].as_is for name in own])
        for arm, own in arms.items()
    }
    known = {record.id: record for record in folder.require(DATASET).records}
    pairs = {arm: [(trained[name], answered[name]) for name in own] for arm, own in arms.items()}
    watched = _packed(settings, training)[0]
    return Measured(
        answers,
        {name: answers[arm].predicted[row] for arm, own in arms.items() for row, name in enumerate(own)},
        spot_test(
            asked,
            truth,
            images,
            PreprocessSpec.from_json(training.summary.input),
            pairs,
            known,
            {arm: [rules[name] for name in own] for arm, own in arms.items()},
        ),
        partial(
            _look,
            pictures,
            cache(lambda: torch_runner(_network(folder.path / watched.path, watched))),
            trained[watched.id],
        ),
        _write_maps(folder, pictures, answered[watched.id], trained[watched.id].spec, rules[watched.id]),
    )


def _packed(settings: Settings, training: TrainingDocument) -> list[TrainingRecord]:
    """Return the trainings of the arm that is packed."""
    return of_arms(training.records)[stand_in(settings.export.arm, training.records)]


def _answered(
    folder: RunFolder, training: TrainingDocument, pictures: Pictures, trained: Mapping[str, Trained]
) -> dict[str, Answered]:
    """Ask all trainings that have not been asked yet, and return what each training says by its id."""
    place, dataset = folder.subfolder(COMPARISON.document), folder.require(DATASET)
    paths = {record.id: place / "logits" / f"{record.id}.safetensors" for record in training.records}
    keys = {own.id: [own.sha256, dataset.digest, trained[own.id].spec.to_json()] for own in training.records}
    found = {name: known for name, path in paths.items() if (known := Answered.kept(path, keys[name]))}
    networks = {
        record.id: (torch_runner(_network(folder.path / record.path, record)), trained[record.id])
        for record in training.records
        if record.id not in found
    }
    fresh = pictures.answers_of(networks) if networks else {}
    for name, answers in fresh.items():
        answers.keep(paths[name], keys[name])
    return found | fresh


def _look(
    pictures: Pictures,
    runner: Callable[[], Runner],
    trained: Trained,
    images: Sequence[DatasetRecord],
    shown: Sequence[str],
) -> Numbers:
    """Return where the maps of a training peak, (N, 2) in pixels of each picture, for the fault that `shown` names."""
    found = replace(pictures, records=images, copies=False).answers_of({"watched": (runner(), trained)})
    return trained.peaks(found["watched"].maps, images, shown)


def _write_maps(
    folder: RunFolder, pictures: Pictures, answered: Answered, spec: PreprocessSpec, rule: Rule
) -> str | None:
    """Write a sheet of test pictures of every label, each with its map and boxes."""
    rows: list[int] = []
    for label in rule.labels:
        own = [row for row, record in enumerate(pictures.records) if record.label == label]
        rows += spread(own, MAPS_OF_A_LABEL)
    tiles = []
    for row in rows[:MOST_MAPS]:
        record = pictures.records[row]
        cam = rule.cams(answered.maps[row])[record.label]
        frame = overlay(pictures.store.frame(record), cam, spec, rule.head.full_heat)
        tiles.append(contact_sheets.large_tile(frame, record.label, record.boxes))
    return contact_sheets.write_large(folder, f"{COMPARISON.document}/sheets/maps.jpg", tiles)


# What to look at again


def _write_mending(
    settings: Settings,
    folder: RunFolder,
    training: TrainingDocument,
    images: Sequence[DatasetRecord],
    measured: Measured,
) -> None:
    """Write which held-out training pictures and test pictures the trainings of the packed arm contradict most."""
    packed = _packed(settings, training)
    paths = [folder.path / record.path for record in packed]
    held = [read_predictions(path) for path in paths]
    labels = held[0].labels
    chances = [
        DecisionRule(labels, (), temperature(path)).probabilities(f.logits) for path, f in zip(paths, held, strict=True)
    ]
    known = {record.id: record for record in folder.require(DATASET).records}
    records = [*(known[name] for name in held[0].ids), *images]
    tested = measured.answers[packed[0].arm].probabilities
    judged = Judged(
        labels,
        [record.id for record in records],
        [record.split for record in records],
        np.array([labels.index(record.label) for record in records]),
        np.concatenate([np.mean(chances, axis=0), np.mean(tested, axis=0)]),
    )
    suspects = judged.doubted()
    if measured.look:
        suspects = [*_placed(suspects, known, measured.look), *_elsewhere(judged, records, training, measured.look)]
    store, tiles = ImageStore(settings), []
    for place, suspect in enumerate(suspects):
        record = known[suspect.id]
        caption = f"{place + 1} {suspect.label}" + (f", rather {suspect.likelier}" if suspect.doubt == LABEL else "")
        tiles.append(contact_sheets.large_tile(store.frame(record), caption, record.boxes, suspect.place))
    sheet = contact_sheets.write_large(folder, f"{COMPARISON.document}/sheets/mending.jpg", tiles)
    found = Mending(suspects=suspects, sheet=sheet, maps=measured.maps)
    write_json(folder.path / COMPARISON.document / contact_sheets.MENDING_FILE, found)


def _placed(suspects: Sequence[Suspect], known: Mapping[str, DatasetRecord], look: Look) -> list[Suspect]:
    """Add where the map of each picture peaks, for the fault that its label or the likelier label names."""
    if not suspects:
        return []
    places = look([known[suspect.id] for suspect in suspects], [suspect.likelier for suspect in suspects])
    return [
        replace(found, place=[round(x, 1), round(y, 1)])
        for found, (x, y) in zip(suspects, places.tolist(), strict=True)
    ]


def _elsewhere(
    judged: Judged, records: Sequence[DatasetRecord], training: TrainingDocument, look: Look
) -> list[Suspect]:
    """Return the fault pictures whose map peaks outside every box."""
    boxed = [row for row, record in enumerate(records) if record.boxes]
    points, places = np.full(len(records), np.nan), np.zeros((len(records), 2))
    if boxed:
        own = [records[row] for row in boxed]
        places[boxed] = look(own, [record.label for record in own])
        points[boxed] = pointing(places[boxed], own)
    place_of = dict(zip(judged.ids, places.tolist(), strict=True))
    found = judged.pointing_elsewhere(points, training.summary.fault_labels)
    return [replace(suspect, place=[round(at, 1) for at in place_of[suspect.id]]) for suspect in found]


def _records(
    images: Sequence[DatasetRecord], labels: Sequence[str], classes: Mapping[str, Labels]
) -> list[ComparisonRecord]:
    predicted = {training: [labels[k] for k in found.tolist()] for training, found in classes.items()}
    of_images = [{training: found[row] for training, found in predicted.items()} for row in range(len(images))]
    return [
        ComparisonRecord(id=image.id, label=image.label, group=image.group, predicted=of_image)
        for image, of_image in zip(images, of_images, strict=True)
    ]
