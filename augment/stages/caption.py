"""Stage 2, caption: BLIP describes every training image, conditioned on its class.

Validation and test images are never captioned, so nothing of them can reach a generated image.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import ClassVar

from augment.data.image_store import ImageStore
from augment.data.split import TRAIN
from augment.engines.interface import Engine
from augment.engines.local import IN_THIS_PROCESS
from augment.models.registry import Models
from augment.record_types import CaptionRecord, DatasetRecord, NoSummary
from augment.records import CAPTIONS, DATASET, Document, RunFolder, StageInputs, spread
from augment.settings import CaptionSettings, Settings

CaptionDocument = Document[CaptionRecord, NoSummary]


def run(settings: Settings, folder: RunFolder, models: Models, engine: Engine = IN_THIS_PROCESS) -> CaptionDocument:
    """Write one caption per training image."""
    dataset = folder.require(DATASET)
    others, captioner = {"phrases": dict(settings.data.phrases)}, models.captioner_folder.identity
    inputs = StageInputs.of(dataset.digest, settings.caption, others, {"captioner": captioner})
    if done := folder.finished(CAPTIONS, inputs):
        return done
    journal = folder.journal(CAPTIONS, CaptionRecord, inputs.to_json())
    batches = list(_batches(dataset.records, settings.caption))
    written = engine.map(_Captioning(settings, models), batches, journal, attrgetter("id"))
    records = sorted(written.values(), key=lambda record: record.id)
    return folder.write(Document(CAPTIONS, inputs, records, NoSummary()))


def summary_line(document: CaptionDocument) -> str:
    """Say in one line what the stage did."""
    words = {record.caption for record in document.records}
    return f"{len(document.records)} training images captioned, {len(words)} different captions"


def _batches(records: Sequence[DatasetRecord], section: CaptionSettings) -> Iterator[list[DatasetRecord]]:
    """Yield training images in batches of one class: they share a prefix, and a rerun forms the same batches."""
    training = [record for record in records if record.split == TRAIN]
    for label in sorted({record.label for record in training}):
        of_label = spread([record for record in training if record.label == label], section.per_class)
        for start in range(0, len(of_label), section.batch_size):
            yield of_label[start : start + section.batch_size]


@dataclass(frozen=True)
class _Captioning:
    """The work on batches of training images, each of one class."""

    what: ClassVar[str] = "caption batches"
    settings: Settings
    models: Models

    def start(self) -> Callable[[Sequence[DatasetRecord]], list[CaptionRecord]]:
        """Return what captions a batch."""
        store, captioner = ImageStore(self.settings), self.models.captioner

        def captioned(batch: Sequence[DatasetRecord]) -> list[CaptionRecord]:
            label = batch[0].label
            prefix = self.settings.caption.prefix.format(phrase=self.settings.phrase(label))
            texts = captioner.caption([store.frame(record) for record in batch], prefix)
            return [
                CaptionRecord(id=record.id, label=label, prefix=prefix, caption=with_prefix(text, prefix))
                for record, text in zip(batch, texts, strict=True)
            ]

        return captioned


def with_prefix(text: str, prefix: str) -> str:
    """Make `text` begin with `prefix`: the tokenizer may have changed its case, the model may have dropped it."""
    text = " ".join(text.replace(" ,", ",").split())
    if text.lower().startswith(prefix.lower()):
        return prefix + text[len(prefix) :]
    return f"{prefix}, {text}" if text else prefix
