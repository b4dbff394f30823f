"""Stage 4, adapt: a low-rank adapter teaches the generator the look of the station's own training images.

Training stops by what is painted, not by its loss: every so many steps the adapter paints images of the validation
images' classes, and the kernel distance between the two sets of embeddings is measured (KID, Binkowski et al. 2018,
arXiv:1801.01401). The adapter of the least distance is kept, or none if the plain model was nearer.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from augment.arrays import Numbers, Vectors
from augment.data.image_store import ImageStore, resize_by_area
from augment.data.split import TRAIN, VAL
from augment.methods import Method, parse_method
from augment.models.image_embedding import nearest_distance
from augment.models.interfaces import Order
from augment.models.model_folders import folder_digest
from augment.models.registry import Models
from augment.progress import progress, say
from augment.record_types import AdapterRecord, AdapterSummary, DatasetRecord, Memorisation, PromptRecord
from augment.records import ADAPTER, CAPTIONS, DATASET, PROMPTS, Document, RunFolder, StageInputs, item_seed, spread
from augment.settings import Settings
from edge_runtime.bundle.preprocess import Frame

LEAST_LOOKS = 2  # validation images that an adapter is chosen by; the distance to a single one means nothing
STATE_FILE = "training.safetensors"  # of the unfinished training
TEXT2IMG = Method("text2img", "text2img")
# (name, step, folder of the adapter or None) -> the evaluation's record
Evaluate = Callable[[str, int, Path | None], AdapterRecord]
AdapterDocument = Document[AdapterRecord, AdapterSummary]


def run(settings: Settings, folder: RunFolder, models: Models, evaluate: Evaluate | None = None) -> AdapterDocument:
    """Train the adapter if a method of generating asks for it: a record per evaluation; the summary names the best.

    `evaluate` takes the place of `Evaluation.evaluate`.
    """
    prompts = folder.require(PROMPTS)
    looks = sum(record.split == VAL for record in folder.require(DATASET).records)
    if looks < LEAST_LOOKS or not any(parse_method(name).adapted for name in settings.generate.methods):
        unused = StageInputs(prompts.digest)
        none = Document(ADAPTER, unused, [], AdapterSummary(path=None, sha256=None))
        return folder.finished(ADAPTER, unused) or folder.write(none)
    sampling = {key: getattr(settings.generate, key) for key in ("steps", "guidance", "negative_prompt", "size")}
    identities = {"painter": models.painter_folder.identity, "embedder": models.embedder.identity}
    others = {"seed": settings.seed, "sampling": sampling}
    inputs = StageInputs.of(prompts.digest, settings.adapt, others, identities)
    if done := folder.finished(ADAPTER, inputs):
        return done
    journal = folder.journal(ADAPTER, AdapterRecord, inputs.to_json())
    known = journal.read()
    if not known:  # a state of other settings must not be taken up
        (folder.subfolder(ADAPTER.document) / STATE_FILE).unlink(missing_ok=True)
    evaluate = evaluate or Evaluation(settings, folder, models).evaluate
    for record in _evaluations(settings, folder, models, evaluate, known):
        journal.add([record])
        known[record.id] = record
    records = list(known.values())
    return folder.write(Document(ADAPTER, inputs, records, _keep_best(folder, records)))


def summary_line(document: AdapterDocument) -> str:
    """Say in one line what the stage did."""
    if not document.records:
        return f"no method of generating uses an adapter, or fewer than {LEAST_LOOKS} validation images can choose one"
    first = document.records[0].distance
    best = _best(document.records)
    if not best.step:
        return (
            f"no adapter kept: none of {len(document.records) - 1} came nearer to the validation images ({first:.4f})"
        )
    return f"step {best.step}: distance to the validation images {first:.4f} -> {best.distance:.4f}"


def _best(records: Sequence[AdapterRecord]) -> AdapterRecord:
    return min(records, key=lambda record: record.distance)


def _evaluations(
    settings: Settings, folder: RunFolder, models: Models, evaluate: Evaluate, known: dict[str, AdapterRecord]
) -> Iterator[AdapterRecord]:
    """Train until the match stops improving; yield every evaluation that is not yet `known`. The caller adds it."""
    section = settings.adapt
    steps = [*range(0, section.steps, section.evaluate_every), section.steps]
    trainer = None
    for place, step in enumerate(steps):
        distances = [record.distance for record in list(known.values())[:place]]
        if len(distances) - int(np.argmin(distances or [0])) > section.patience:
            return
        name = f"step-{step:05d}"
        if name in known:
            continue
        trainer = trainer or _Trainer(settings, folder, models)
        record = evaluate(name, step, trainer.train(step) if step else None)
        say(f"adapt: step {step} of at most {section.steps}, distance {record.distance:.4f}")
        yield record


class _Trainer:
    """The adapter in training, and what it learns from."""

    def __init__(self, settings: Settings, folder: RunFolder, models: Models) -> None:
        from augment.training.lora import Adaptation

        self._settings, self._place = settings, folder.subfolder(ADAPTER.document)
        captions = {record.id: record.caption for record in folder.require(CAPTIONS).records}
        records = [record for record in folder.require(DATASET).records if record.id in captions]
        seed = item_seed(settings.seed, ADAPTER.document, "initial")
        self._adaptation = Adaptation(models.painter_folder.path, models.device, settings.adapt, seed)
        latents = self._adaptation.encode(np.stack(_frames(settings, records, models.painter.side)))
        self._loss = self._adaptation.loss(latents, [captions[record.id] for record in records])

    def train(self, step: int) -> Path:
        """Train until `step`; return the folder of the averaged adapter."""
        from augment.training.resumable import Schedule, train

        section = self._settings.adapt
        schedule = Schedule(step, section.batch_size, section.learning_rate, decay=0.0, average=0.99)
        train(self._place / STATE_FILE, self._adaptation.model, self._loss, schedule, self._settings.seed, say)
        path = self._place / f"step-{step:05d}"
        self._adaptation.save(path)
        return path


class Evaluation:
    """Paints for the classes of some validation images and compares what it painted with them."""

    def __init__(self, settings: Settings, folder: RunFolder, models: Models) -> None:
        records = folder.require(DATASET).records
        self._settings, self._models = settings, models
        self._embedder = models.embedder
        by_split = {split: [record for record in records if record.split == split] for split in (TRAIN, VAL)}
        shown = spread(by_split[VAL], settings.adapt.look_images)
        self._orders = _orders(settings, shown, folder.require(PROMPTS).records)
        side = models.painter.side
        self._validation = self._embedder.embed(_frames(settings, shown, side))
        self._training = self._embedder.embed(_frames(settings, by_split[TRAIN], side))

    def evaluate(self, name: str, step: int, adapter: Path | None) -> AdapterRecord:
        """Measure how far what the adapter paints is from the validation images, and how near to training images."""
        frames: list[Frame] = []
        size = self._settings.generate.batch_size
        starts = range(0, len(self._orders), size)
        for start in progress(starts, len(starts), "batches painted for an evaluation"):
            painted = self._models.painter.paint(self._orders[start : start + size], TEXT2IMG, adapter)
            frames += [frame for frame in painted if frame is not None]
        found = self._embedder.embed(frames)
        near, usual = (
            nearest_distance(images, self._training).astype(np.float32) for images in (found, self._validation)
        )
        memorisation = Memorisation(
            median_nearest_painted=float(np.median(near)),
            median_nearest_validation=float(np.median(usual)),
            nearer_than_any_validation_image=int((near < usual.min()).sum()),
            painted=len(near),
        )
        distance = kernel_distance(found, self._validation)
        return AdapterRecord(id=name, step=step, distance=distance, memorisation=memorisation)


def _orders(settings: Settings, shown: Sequence[DatasetRecord], prompts: Sequence[PromptRecord]) -> list[Order]:
    """Make one order for each validation image: a prompt of its class, the same seed at every evaluation."""
    orders = []
    for record in shown:
        texts = [prompt.prompt for prompt in prompts if prompt.label == record.label]
        if texts:
            seed = item_seed(settings.seed, ADAPTER.document, f"look/{record.id}")
            orders.append(Order(texts[seed % len(texts)], seed))
    return orders


def _frames(settings: Settings, records: Sequence[DatasetRecord], side: int) -> list[Frame]:
    """Open the images of `records`, each resized to uint8 (side, side, 3) BGR."""
    store = ImageStore(settings)
    return [resize_by_area(store.frame(record), side, side) for record in records]


def kernel_distance(one: Vectors, other: Vectors) -> float:
    """Return the unbiased squared maximum mean discrepancy of embeddings (N, D) and (M, D), cubic kernel; 0: alike."""

    def kernel(left: Vectors, right: Vectors) -> Numbers:
        cubed: Numbers = (left.astype(np.float64) @ right.T + 1) ** 3
        return cubed

    def within(rows: Vectors) -> float:
        matrix = kernel(rows, rows)
        return float((matrix.sum() - np.trace(matrix)) / (len(rows) * (len(rows) - 1)))

    return within(one) + within(other) - 2 * float(kernel(one, other).mean())


def _keep_best(folder: RunFolder, records: Sequence[AdapterRecord]) -> AdapterSummary:
    """Remove the training state and all adapters but the best; return the document's summary."""
    best = _best(records)
    place = folder.subfolder(ADAPTER.document)
    (place / STATE_FILE).unlink(missing_ok=True)
    for record in records:
        if record is not best:
            shutil.rmtree(place / record.id, ignore_errors=True)
    kept = best.step > 0
    return AdapterSummary(
        path=f"{ADAPTER.document}/{best.id}" if kept else None,
        sha256=folder_digest(place / best.id) if kept else None,
        best_step=best.step,
        memorisation=best.memorisation,
    )
