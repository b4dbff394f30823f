"""Stage 5, generate: Stable Diffusion paints what each class lacks, image by image with its own seed.

The id of an image is a digest of everything that decides its pixels, so a killed run knows by the id what it has.
Batches are planned ahead and painted whole: on the same machine a resumed run makes the same pixels.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from augment.data.image_store import ImageStore
from augment.methods import Method, parse_method
from augment.models.cut_paste import Fitted, fit, transplant
from augment.models.inpaint_mask import hole_for
from augment.models.interfaces import Order
from augment.models.registry import Models
from augment.progress import progress
from augment.records import Document, Journal, Record, RunFolder, digest_of, item_seed
from augment.settings import GenerateSettings, Settings, as_json
from edge_runtime.bundle.files import replace_file, sha256_bytes

STAGE = "synthetic"
SAFETY_FILTER = "blanked by the model's safety filter"
TOO_LARGE = "the fault's patch is larger than its host"
HOSTS_PER_PROMPT = 4  # real images that one prompt edits before the prompts start again
UNKNOWN_RECALL = 0.5  # of a class without validation images
LEAST_NEED = 0.05  # of a class that is always found: it still gets some, or its look would tell the others
Wanted = Mapping[str, Mapping[str, int]]  # method -> label -> images


def run(settings: Settings, folder: RunFolder, models: Models) -> Document:
    """Paint until every class has what it lacks, by each method: records with path, method, prompt, source, seed ...

    A second call after `curate` tops up what was rejected, for at most `generate.rounds` rounds.
    """
    dataset, prompts, adapter = (folder.require(stage) for stage in ("dataset", "prompts", "adapter"))
    inputs = {
        "parent": adapter.digest,
        "settings": {"seed": settings.seed, **as_json(settings.generate)},
        "models": {"painter": models.painter_folder.identity},
    }
    previous = folder.finished(STAGE, **inputs)
    wanted = {
        name: wanted_of(parse_method(name), dataset.records, settings.generate) for name in settings.generate.methods
    }
    round_number = 1 if previous is None else previous.summary["round"] + 1
    if settings.generate.budget == "recall":
        wanted = _by_recall(folder, previous, wanted, settings.generate)
    missing = wanted if previous is None else still_missing(folder, previous, wanted)
    nothing = not any(count for of_method in missing.values() for count in of_method.values())
    if previous and (nothing or round_number > settings.generate.rounds):
        return previous
    made = list(previous.records) if previous else []
    plan = plan_images(settings, inputs["models"]["painter"], adapter, dataset.records, prompts.records, missing, made)
    journal = folder.journal(STAGE, {**inputs, "round": round_number})
    studio = _Studio(settings, folder, models, adapter, {record["id"]: record for record in dataset.records})
    painted = _paint_all(studio, journal, plan)
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
    """Images per class that each method makes: up to `target` with the real ones, between `floor` and `cap`."""
    training = [record["label"] for record in records if record["split"] == "train"]
    real = {label: training.count(label) for label in sorted(set(training))}
    target = settings.target or max(real.values())
    return {label: min(settings.cap, max(settings.floor, target - count)) for label, count in real.items()}


def wanted_of(method: Method, records: Sequence[Record], settings: GenerateSettings) -> dict[str, int]:
    """`wanted_images`, without the classes for which the method has nothing to start from."""
    wanted = wanted_images(records, settings)
    return {label: count for label, count in wanted.items() if _can_make(method, records, label, settings)}


def _can_make(method: Method, records: Sequence[Record], label: str, settings: GenerateSettings) -> bool:
    return not method.inserts or bool(_donors(records, label) and _hosts(records, label, settings))


def _donors(records: Sequence[Record], label: str) -> list[Record]:
    """Training images of a class with a box around what makes it one."""
    return [
        record for record in records if record["split"] == "train" and record["label"] == label and record.get("boxes")
    ]


def _hosts(records: Sequence[Record], label: str, settings: GenerateSettings) -> list[Record]:
    """Training images of the sound equipment that `label`'s patches go onto."""
    host = settings.hosts.get(label)
    return [record for record in records if record["split"] == "train" and record["label"] == host]


def _edited(records: Sequence[Record], label: str, hosts: Mapping[str, str]) -> list[str]:
    """The ids of training images that may become `label`: its own and its counterparts'.

    Both ways round, or having been edited would tell a fault from sound equipment.
    """
    labels = {label, hosts.get(label), *(fault for fault, sound in hosts.items() if sound == label)}
    return [record["id"] for record in records if record["split"] == "train" and record["label"] in labels]


def _by_recall(folder: RunFolder, previous: Document | None, even: Wanted, section: GenerateSettings) -> Wanted:
    """What each class should have after the coming round: an even part first, then most where recall is lowest."""
    if previous is None:
        return {
            method: {label: math.ceil(n / section.rounds) for label, n in of.items()} for method, of in even.items()
        }
    before, curation = previous.summary["wanted"], folder.latest("curation")
    if curation is None or curation.parent != previous.digest or previous.summary["round"] >= section.rounds:
        return before
    recall = curation.summary["validation_recall"]
    need = {label: 1 + LEAST_NEED - (UNKNOWN_RECALL if found is None else found) for label, found in recall.items()}
    return {
        method: {
            label: min(
                section.cap, before[method][label] + round(sum(of.values()) * need[label] / total / section.rounds)
            )
            for label in of
        }
        for method, of in even.items()
        for total in [sum(need[label] for label in of)]
    }


def still_missing(folder: RunFolder, previous: Document, wanted: Wanted) -> Wanted:
    """How many kept images each class lacks, by the curation of `previous`; nothing while that is not done."""
    curation = folder.latest("curation")
    if curation is None or curation.parent != previous.digest:
        return {method: dict.fromkeys(of_method, 0) for method, of_method in wanted.items()}
    kept = [(record["method"], record["label"]) for record in curation.records if record["kept"]]
    return {
        method: {label: max(0, count - kept.count((method, label))) for label, count in of_method.items()}
        for method, of_method in wanted.items()
    }


def plan_images(
    settings: Settings,
    painter: Mapping[str, str],
    adapter: Document,
    dataset: Sequence[Record],
    prompts: Sequence[Record],
    missing: Wanted,
    made: Sequence[Record],
) -> list[Record]:
    """What to paint, in order: the class's prompts or patches in a seeded order, round after round, with new seeds."""
    plan = []
    for name, of_method in missing.items():
        method = parse_method(name)
        tools = {"painter": dict(painter), "adapter": adapter.summary["sha256"] if method.adapted else None}
        for label, count in of_method.items():
            first = sum((record["method"], record["label"]) == (name, label) for record in made)
            starts = _starts(settings, method, label, dataset, prompts)
            for number in range(first, first + count):
                plan.append(_planned(settings, tools, method, label, number, starts[number % len(starts)]))
    return plan


def _starts(
    settings: Settings, method: Method, label: str, dataset: Sequence[Record], prompts: Sequence[Record]
) -> list[Record]:
    """What the images of one class start from, in a seeded order: prompts, or faults each with its host, or both."""
    rng = np.random.default_rng(item_seed(settings.seed, STAGE, label))
    of_label = [record for record in prompts if record["label"] == label]
    if method.inserts:
        donors, hosts = _donors(dataset, label), _hosts(dataset, label, settings.generate)
        pairs = [
            (donors[at // len(hosts)], hosts[at % len(hosts)], at) for at in rng.permutation(len(donors) * len(hosts))
        ]
        texts = [of_label[at] for at in rng.permutation(len(of_label))] if method.kind == "inpaint" else [None]
        return [
            {
                **_words(texts[number % len(texts)]),
                "source": donor["id"],
                "host": host["id"],
                "box": donor["boxes"][at % len(donor["boxes"])],
            }
            for number in range(max(len(pairs), len(texts)))
            for donor, host, at in [pairs[number % len(pairs)]]
        ]
    hosts = _edited(dataset, label, settings.generate.hosts) if method.kind == "edit" else [None]
    return [
        {**_words(prompt), "source": prompt["source"], "host": hosts[rng.integers(len(hosts))], "box": None}
        for _ in range(HOSTS_PER_PROMPT if method.kind == "edit" else 1)
        for prompt in (of_label[at] for at in rng.permutation(len(of_label)))
    ]


def _words(prompt: Record | None) -> Record:
    if prompt is None:
        return {"prompt_id": None, "caption": None, "prompt": None}
    return {"prompt_id": prompt["id"], "caption": prompt["caption"], "prompt": prompt["prompt"]}


def _planned(
    settings: Settings, tools: Mapping[str, object], method: Method, label: str, number: int, start: Record
) -> Record:
    """A record without its image. The seed leaves the method out: methods differ in nothing but themselves."""
    section = settings.generate
    record = {
        "label": label,
        "method": method.name,
        "number": number,
        **start,
        "negative_prompt": section.negative_prompt,
        "seed": item_seed(settings.seed, STAGE, f"{label}/{number}/{start['prompt_id'] or start['source']}"),
        "steps": section.steps,
        "guidance": section.guidance,
        "strength": method.strength,
        "adapter": tools["adapter"],
        "size": section.size,
    }
    return {"id": digest_of({**record, **tools, "batch_size": section.batch_size})[:16], **record}


@dataclass(frozen=True)
class _Painted:
    """An image, or why there is none."""

    frame: np.ndarray | None  # (H, W, 3) uint8 BGR
    why_none: str = SAFETY_FILTER
    place: list[int] | None = None  # of an inserted fault in its host: x, y, width, height in pixels


@dataclass(frozen=True)
class _Studio:
    """What painting needs at hand."""

    settings: Settings
    folder: RunFolder
    models: Models
    adapter: Document
    sources: Mapping[str, Record]  # dataset records by id

    def paint(self, method: Method, batch: Sequence[Record]) -> list[_Painted]:
        """The images of planned records, all of one method."""
        if method.kind == "render":
            from augment.mini.scenes import render, sample_scene

            scenes = [sample_scene(record["seed"], method.domain, record["label"]) for record in batch]
            return [_Painted(render(scene, self.models.painter.side)) for scene in scenes]
        if method.inserts:
            return self._inserted(method, batch)
        orders = [
            Order(record["prompt"], record["seed"], self._source(record) if method.starts_from_image else None)
            for record in batch
        ]
        return [_Painted(frame) for frame in self._ordered(method, orders)]

    def _inserted(self, method: Method, batch: Sequence[Record]) -> list[_Painted]:
        """Hosts with a fault in a place that fits."""
        found = [fit(self._frame(r["host"]), self._frame(r["source"]), r["box"], r["seed"]) for r in batch]
        fitting = [(record, fitted) for record, fitted in zip(batch, found, strict=True) if fitted]
        if method.kind == "transplant":
            made = iter([transplant(fitted) for _, fitted in fitting])
        else:
            made = iter(self._inpainted(method, fitting))
        return [_Painted(next(made), place=fitted.box) if fitted else _Painted(None, TOO_LARGE) for fitted in found]

    def _inpainted(self, method: Method, fitting: Sequence[tuple[Record, Fitted]]) -> list[np.ndarray | None]:
        side = self.models.painter.side
        holes = [hole_for(fitted) for _, fitted in fitting]
        orders = [
            Order(record["prompt"], record["seed"], *hole.view(side))
            for (record, _), hole in zip(fitting, holes, strict=True)
        ]
        painted = self._ordered(method, orders) if orders else []
        return [None if square is None else hole.fill(square) for hole, square in zip(holes, painted, strict=True)]

    def _ordered(self, method: Method, orders: Sequence[Order]) -> list[np.ndarray | None]:
        return self.models.painter.paint(orders, method, self._adapter_folder(method))

    def _source(self, record: Record) -> np.ndarray:
        side = self.models.painter.side
        return cv2.resize(self._frame(record["host"] or record["source"]), (side, side), interpolation=cv2.INTER_AREA)

    def _frame(self, image: str) -> np.ndarray:
        return ImageStore(self.settings).frame(self.sources[image])

    def _adapter_folder(self, method: Method) -> Path | None:
        """None where the adapter did no good on the validation images and was not kept."""
        path = self.adapter.summary["path"] if method.adapted else None
        return self.folder.path / path if path else None


def _paint_all(studio: _Studio, journal: Journal, plan: list[Record]) -> list[Record]:
    done = journal.read()
    batches = _batches(plan, studio.settings.generate.batch_size)
    for batch in progress(batches, len(batches), "image batches"):
        if any(record["id"] not in done for record in batch):
            images = studio.paint(parse_method(batch[0]["method"]), batch)
            painted = [_save(studio.folder, record, image) for record, image in zip(batch, images, strict=True)]
            journal.add(painted)  # after the files are on disk: what the journal names is there
            done |= {record["id"]: record for record in painted}
    return [done[record["id"]] for record in plan]


def _batches(plan: list[Record], size: int) -> list[list[Record]]:
    """Runs of the plan, each of one method."""
    of_methods = [
        [record for record in plan if record["method"] == m] for m in dict.fromkeys(r["method"] for r in plan)
    ]
    return [part[start : start + size] for part in of_methods for start in range(0, len(part), size)]


def _save(folder: RunFolder, record: Record, painted: _Painted) -> Record:
    """The record with the path and digest of its PNG; an image that there is not gets a reason and no file."""
    image, record = painted.frame, {**record, "place": painted.place}
    if image is None or not image.any():
        return {**record, "path": None, "sha256": None, "blanked": painted.why_none}
    relative = f"synthetic/images/{record['label']}/{record['id']}.png"
    path = folder.path / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    data = cv2.imencode(".png", image)[1].tobytes()
    replace_file(path, data)
    return {**record, "path": relative, "sha256": sha256_bytes(data), "blanked": None}
