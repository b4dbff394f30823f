"""Stage 2, caption: BLIP describes every training image, conditioned on its class.

Validation and test images are never captioned, so nothing of them can reach a generated image.
"""

from collections.abc import Iterator

from augment.data.image_store import ImageStore
from augment.models.registry import Models
from augment.progress import progress
from augment.records import Document, Record, RunFolder, spread
from augment.settings import CaptionSettings, Settings, as_json

STAGE = "captions"


def run(settings: Settings, folder: RunFolder, models: Models) -> Document:
    """Write one caption per training image: records `{id, label, prefix, caption}`."""
    dataset = folder.require("dataset")
    inputs = {
        "parent": dataset.digest,
        "settings": {"phrases": dict(settings.data.phrases), **as_json(settings.caption)},
        "models": {"captioner": models.captioner_folder.identity},
    }
    if done := folder.finished(STAGE, **inputs):
        return done
    journal = folder.journal(STAGE, inputs)
    written = journal.read()
    batches = list(_batches(dataset.records, settings.caption))
    store = ImageStore(settings)
    for batch in progress(batches, len(batches), "caption batches"):
        if any(record["id"] not in written for record in batch):
            captions = _caption_batch(settings, store, models, batch)
            journal.add(captions)
            written |= {record["id"]: record for record in captions}
    records = sorted(written.values(), key=lambda record: record["id"])
    document = folder.write(Document(STAGE, records=records, **inputs))
    journal.clear()
    return document


def told(document: Document) -> str:
    """The stage in one line."""
    words = {record["caption"] for record in document.records}
    return f"{len(document.records)} training images captioned, {len(words)} different captions"


def _batches(records: list[Record], section: CaptionSettings) -> Iterator[list[Record]]:
    """Training images in batches of one class: they share a prefix, and a rerun forms the same batches."""
    training = [record for record in records if record["split"] == "train"]
    for label in sorted({record["label"] for record in training}):
        of_label = spread([record for record in training if record["label"] == label], section.per_class)
        for start in range(0, len(of_label), section.batch_size):
            yield of_label[start : start + section.batch_size]


def _caption_batch(settings: Settings, store: ImageStore, models: Models, batch: list[Record]) -> list[Record]:
    label = batch[0]["label"]
    prefix = settings.caption.prefix.format(phrase=settings.phrase(label))
    texts = models.captioner.caption([store.frame(record) for record in batch], prefix)
    return [
        {"id": record["id"], "label": label, "prefix": prefix, "caption": with_prefix(text, prefix)}
        for record, text in zip(batch, texts, strict=True)
    ]


def with_prefix(text: str, prefix: str) -> str:
    """`text`, made to begin with `prefix`: the tokenizer may have changed its case, the model may have dropped it."""
    text = " ".join(text.replace(" ,", ",").split())
    if text.lower().startswith(prefix.lower()):
        return prefix + text[len(prefix) :]
    return f"{prefix}, {text}" if text else prefix
