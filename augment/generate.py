"""Stage 4, generate: Stable Diffusion paints what each class lacks, image by image with its own seed.

The id of an image is a digest of everything that decides its pixels, so a killed run knows by the id what it has.
Batches are planned ahead and painted whole: on the same machine a resumed run makes the same pixels.
"""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from augment.models import Models
from augment.progress import progress
from augment.records import Document, Journal, Record, RunFolder, digest_of, item_seed
from augment.settings import GenerateSettings, Settings, as_json
from edge_runtime.bundle.files import replace_file, sha256_bytes

STAGE = "synthetic"
SAFETY_FILTER = "blanked by the model's safety filter"


def run(settings: Settings, folder: RunFolder, models: Models) -> Document:
    """Paint until every class has what it lacks: records with path, prompt, source, seed, steps, guidance, sha256.

    A second call after `curate` tops up what was rejected, for at most `generate.rounds` rounds.
    """
    dataset, prompts = folder.require("dataset"), folder.require("prompts")
    inputs = {
        "parent": prompts.digest,
        "settings": {"seed": settings.seed, **as_json(settings.generate)},
        "models": {"painter": models.painter_folder.identity},
    }
    previous = folder.finished(STAGE, **inputs)
    wanted = wanted_images(dataset.records, settings.generate)
    missing = wanted if previous is None else still_missing(folder, previous, wanted)
    round_number = 1 if previous is None else previous.summary["round"] + 1
    if previous and (not any(missing.values()) or round_number > settings.generate.rounds):
        return previous
    made = list(previous.records) if previous else []
    plan = plan_images(settings, inputs["models"]["painter"], prompts.records, missing, made)
    journal = folder.journal(STAGE, {**inputs, "round": round_number})
    painted = _paint_all(folder, models, journal, plan, settings.generate.batch_size)
    records = sorted([*made, *painted], key=lambda record: record["id"])
    document = folder.write(
        Document(STAGE, records=records, summary={"round": round_number, "wanted": wanted}, **inputs)
    )
    journal.clear()
    return document


def told(document: Document) -> str:
    """The stage in one line."""
    return f"{len(document.records)} images painted up to round {document.summary['round']}"


def wanted_images(records: Sequence[Record], settings: GenerateSettings) -> dict[str, int]:
    """Generated images per class: up to `target` together with the real ones, between `floor` and `cap`."""
    training = [record["label"] for record in records if record["split"] == "train"]
    real = {label: training.count(label) for label in sorted(set(training))}
    target = settings.target or max(real.values())
    return {label: min(settings.cap, max(settings.floor, target - count)) for label, count in real.items()}


def still_missing(folder: RunFolder, previous: Document, wanted: Mapping[str, int]) -> dict[str, int]:
    """How many kept images each class lacks, by the curation of `previous`; nothing while that is not done."""
    curation = folder.latest("curation")
    if curation is None or curation.parent != previous.digest:
        return dict.fromkeys(wanted, 0)
    kept = [record["label"] for record in curation.records if record["kept"]]
    return {label: max(0, count - kept.count(label)) for label, count in wanted.items()}


def plan_images(
    settings: Settings,
    painter: Mapping[str, str],
    prompts: Sequence[Record],
    missing: Mapping[str, int],
    made: Sequence[Record],
) -> list[Record]:
    """What to paint, in order: the class's prompts in a seeded order, round after round, each time with a new seed."""
    plan = []
    for label, count in missing.items():
        of_label = [record for record in prompts if record["label"] == label]
        order = np.random.default_rng(item_seed(settings.seed, STAGE, label)).permutation(len(of_label))
        first = sum(record["label"] == label for record in made)
        for number in range(first, first + count):
            plan.append(_planned(settings, painter, of_label[order[number % len(order)]], number))
    return plan


def _planned(settings: Settings, painter: Mapping[str, str], prompt: Record, number: int) -> Record:
    section = settings.generate
    record = {
        "label": prompt["label"],
        "number": number,
        "source": prompt["source"],
        "caption": prompt["caption"],
        "prompt_id": prompt["id"],
        "prompt": prompt["prompt"],
        "negative_prompt": section.negative_prompt,
        "seed": item_seed(settings.seed, STAGE, f"{prompt['label']}/{number}/{prompt['id']}"),
        "steps": section.steps,
        "guidance": section.guidance,
        "strength": None,  # of image-to-image; text-to-image starts from noise alone
        "size": section.size,
    }
    return {"id": digest_of({**record, "painter": dict(painter), "batch_size": section.batch_size})[:16], **record}


def _paint_all(
    folder: RunFolder, models: Models, journal: Journal, plan: list[Record], batch_size: int
) -> list[Record]:
    done = journal.read()
    batches = [plan[start : start + batch_size] for start in range(0, len(plan), batch_size)]
    for batch in progress(batches, len(batches), "image batches"):
        if any(record["id"] not in done for record in batch):
            painted = _paint_batch(folder, models, batch)
            journal.add(painted)  # after the files are on disk: what the journal names is there
            done |= {record["id"]: record for record in painted}
    return [done[record["id"]] for record in plan]


def _paint_batch(folder: RunFolder, models: Models, batch: Sequence[Record]) -> list[Record]:
    images = models.painter.paint([record["prompt"] for record in batch], [record["seed"] for record in batch])
    return [_save(folder, record, image) for record, image in zip(batch, images, strict=True)]


def _save(folder: RunFolder, record: Record, image: np.ndarray | None) -> Record:
    """The record with the path and digest of its PNG; a blanked image gets a reason and no file."""
    if image is None or not image.any():
        return {**record, "path": None, "sha256": None, "blanked": SAFETY_FILTER}
    relative = f"synthetic/images/{record['label']}/{record['id']}.png"
    path = folder.path / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    data = cv2.imencode(".png", image)[1].tobytes()
    replace_file(path, data)
    return {**record, "path": relative, "sha256": sha256_bytes(data), "blanked": None}
