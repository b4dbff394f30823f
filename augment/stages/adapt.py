"""Stage 4, adapt: a low-rank adapter teaches the generator the look of the station's own training images.

Training stops by what is painted, not by its loss: at every look the adapter paints images of the validation images'
classes, and the kernel distance between the two sets of embeddings is measured (KID, Binkowski et al. 2018,
arXiv:1801.01401). The nearest look is kept, or none if the plain model was nearer.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from augment.arrays import Numbers
from augment.data.image_store import ImageStore
from augment.methods import Method, parse_method
from augment.models.image_embedding import nearest_distance
from augment.models.interfaces import Order
from augment.models.model_folders import folder_digest
from augment.models.registry import Models
from augment.progress import progress, say
from augment.records import Document, Record, RunFolder, item_seed, spread
from augment.settings import Settings, as_json

STAGE = "adapter"
STATE_FILE = "training.safetensors"  # of the unfinished training
TEXT2IMG = Method("text2img", "text2img")


def run(settings: Settings, folder: RunFolder, models: Models) -> Document:
    """Train the adapter if a method of generating asks for it: records of the looks; the summary names the best."""
    prompts = folder.require("prompts")
    if not any(parse_method(name).adapted for name in settings.generate.methods):
        inputs = {"parent": prompts.digest, "settings": {}, "models": {}}
        summary = {"path": None, "sha256": None}
        return folder.finished(STAGE, **inputs) or folder.write(Document(STAGE, records=[], summary=summary, **inputs))
    sampling = {key: getattr(settings.generate, key) for key in ("steps", "guidance", "negative_prompt", "size")}
    inputs = {
        "parent": prompts.digest,
        "settings": {"seed": settings.seed, "sampling": sampling, **as_json(settings.adapt)},
        "models": {"painter": models.painter_folder.identity, "embedder": models.embedder.identity},
    }
    if done := folder.finished(STAGE, **inputs):
        return done
    journal = folder.journal(STAGE, inputs)
    looks = journal.read()
    if not looks:  # a state of other settings must not be taken up
        (folder.stage(STAGE) / STATE_FILE).unlink(missing_ok=True)
    viewer = _Viewer(settings, folder, models)
    for record in _looks(settings, folder, models, viewer, looks):
        journal.add([record])
        looks[record["id"]] = record
    records = list(looks.values())
    document = folder.write(Document(STAGE, records=records, summary=_keep_best(folder, records), **inputs))
    journal.clear()
    return document


def told(document: Document) -> str:
    """The stage in one line."""
    if not document.records:
        return "no method of generating uses an adapter"
    first = document.records[0]["distance"]
    best = min(document.records, key=lambda record: record["distance"])
    if not best["step"]:
        return (
            f"no adapter kept: none of {len(document.records) - 1} came nearer to the validation images ({first:.4f})"
        )
    return f"step {best['step']}: distance to the validation images {first:.4f} -> {best['distance']:.4f}"


def _looks(settings: Settings, folder: RunFolder, models: Models, viewer: "_Viewer", seen: dict[str, Record]):
    """Train from look to look until the match stops improving; yields the record of each look not yet in `seen`."""
    section = settings.adapt
    steps = [*range(0, section.steps, section.evaluate_every), section.steps]
    trainer = None
    for place, step in enumerate(steps):
        distances = [record["distance"] for record in list(seen.values())[:place]]
        if len(distances) - int(np.argmin(distances or [0])) > section.patience:
            return
        name = f"step-{step:05d}"
        if name in seen:
            continue
        trainer = trainer or _Trainer(settings, folder, models)
        path = trainer.train(step) if step else None
        record = {"id": name, "step": step, **viewer.look(path)}
        say(f"adapt: step {step} of at most {section.steps}, distance {record['distance']:.4f}")
        yield record


class _Trainer:
    """The adapter in training, and what it learns from."""

    def __init__(self, settings: Settings, folder: RunFolder, models: Models) -> None:
        from augment.training.lora import Adaptation

        self._settings, self._place = settings, folder.stage(STAGE)
        captions = {record["id"]: record["caption"] for record in folder.require("captions").records}
        records = [record for record in folder.require("dataset").records if record["id"] in captions]
        seed = item_seed(settings.seed, STAGE, "initial")
        self._adaptation = Adaptation(models.painter_folder.path, models.device, settings.adapt, seed)
        latents = self._adaptation.encode(_frames(settings, records, models.painter.side))
        self._loss = self._adaptation.loss(latents, [captions[record["id"]] for record in records])

    def train(self, step: int) -> Path:
        """Train until `step`; returns the folder of the averaged adapter."""
        from augment.training.resumable import Schedule, train

        section = self._settings.adapt
        schedule = Schedule(step, section.batch_size, section.learning_rate, decay=0.0, average=0.99)
        train(self._place / STATE_FILE, self._adaptation.model, self._loss, schedule, self._settings.seed, say)
        path = self._place / f"step-{step:05d}"
        self._adaptation.save(path)
        return path


class _Viewer:
    """Paints for the classes of some validation images and compares."""

    def __init__(self, settings: Settings, folder: RunFolder, models: Models) -> None:
        records = folder.require("dataset").records
        self._settings, self._models = settings, models
        self._embedder = models.embedder
        by_split = {split: [record for record in records if record["split"] == split] for split in ("train", "val")}
        shown = spread(by_split["val"], settings.adapt.look_images)
        self._orders = _orders(settings, shown, folder.require("prompts").records)
        side = models.painter.side
        self._validation = self._embedder.embed(_frames(settings, shown, side))
        self._training = self._embedder.embed(_frames(settings, by_split["train"], side))

    def look(self, adapter: Path | None) -> Record:
        """`distance` of what the adapter paints to the validation images, and how near it comes to training images."""
        frames = []
        size = self._settings.generate.batch_size
        starts = range(0, len(self._orders), size)
        for start in progress(starts, len(starts), "batches painted for a look"):
            painted = self._models.painter.paint(self._orders[start : start + size], TEXT2IMG, adapter)
            frames += [frame for frame in painted if frame is not None]
        found = self._embedder.embed(np.stack(frames))
        near, usual = (
            nearest_distance(images, self._training).astype(np.float32) for images in (found, self._validation)
        )
        return {
            "distance": kernel_distance(found, self._validation),
            "memorisation": {
                "median_nearest_painted": float(np.median(near)),
                "median_nearest_validation": float(np.median(usual)),
                "nearer_than_any_validation_image": int((near < usual.min()).sum()),
                "painted": len(near),
            },
        }


def _orders(settings: Settings, shown: Sequence[Record], prompts: Sequence[Record]) -> list[Order]:
    """One order for each validation image: a prompt of its class, the same seed at every look."""
    orders = []
    for record in shown:
        texts = [prompt["prompt"] for prompt in prompts if prompt["label"] == record["label"]]
        if texts:
            seed = item_seed(settings.seed, STAGE, f"look/{record['id']}")
            orders.append(Order(texts[seed % len(texts)], seed))
    return orders


def _frames(settings: Settings, records: Sequence[Record], side: int) -> np.ndarray:
    """uint8 (N, side, side, 3) BGR."""
    store = ImageStore(settings)
    frames = (store.frame(record) for record in records)
    return np.stack([cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA) for frame in frames])


def kernel_distance(one: Numbers, other: Numbers) -> float:
    """Unbiased squared maximum mean discrepancy of embeddings (N, D) and (M, D), cubic kernel; 0 means alike."""

    def kernel(left: Numbers, right: Numbers) -> Numbers:
        return (left.astype(np.float64) @ right.T + 1) ** 3

    def within(rows: Numbers) -> float:
        matrix = kernel(rows, rows)
        return float((matrix.sum() - np.trace(matrix)) / (len(rows) * (len(rows) - 1)))

    return within(one) + within(other) - 2 * float(kernel(one, other).mean())


def _keep_best(folder: RunFolder, records: Sequence[Record]) -> Record:
    """Remove the training state and all adapters but the best; the document's summary."""
    best = min(records, key=lambda record: record["distance"])
    place = folder.stage(STAGE)
    (place / STATE_FILE).unlink(missing_ok=True)
    for record in records:
        if record is not best:
            shutil.rmtree(place / record["id"], ignore_errors=True)
    summary = {"best_step": best["step"], "memorisation": best["memorisation"]}
    if not best["step"]:
        return {"path": None, "sha256": None, **summary}
    return {"path": f"{STAGE}/{best['id']}", "sha256": folder_digest(place / best["id"]), **summary}
