"""Stage 5, generate: Stable Diffusion paints what each class lacks, each image with a seed of its own.

Beside the quotas, method `heal` gives every fault picture with boxes once more without its faults.

The id of an image is a digest of everything that decides its pixels, so a killed run knows by the id what it has.
Batches are planned ahead and painted whole: on the same machine a resumed run makes the same pixels.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import ClassVar

import cv2
import numpy as np

from augment import record_types as types
from augment.data.fault_groups import NONE, can_tell_faults, resolve
from augment.data.image_store import ImageStore, resize_by_area
from augment.data.split import TRAIN, learned_sides
from augment.engines.interface import Engine
from augment.engines.local import IN_THIS_PROCESS
from augment.file_names import safe_name
from augment.methods import HEAL, Method, parse_method
from augment.models.cut_paste import Fitted, fit, fit_heat, heat_box, heat_up, in_place, transplant
from augment.models.false_colour import Box, palette_of
from augment.models.heal import healed
from augment.models.inpaint_mask import hole_for
from augment.models.interfaces import Order
from augment.models.registry import Models
from augment.records import (
    ADAPTER,
    CURATION,
    DATASET,
    PROMPTS,
    SYNTHETIC,
    Document,
    Identity,
    RunFolder,
    StageInputs,
    digest_of,
    item_seed,
)
from augment.settings import GenerateSettings, Settings
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import replace_file, sha256_bytes
from edge_runtime.bundle.preprocess import Frame

SAFETY_FILTER = "blanked by the model's safety filter"
TOO_LARGE = "the fault's patch is larger than its host"
NO_COVER = "no other part of the picture is large enough to cover a box"
NO_HEAT = "the fault's patch is larger than its host, or a picture is not in false colours"
BY_GENERATOR = "inpainted by the generator"
HEALING = parse_method("inpaint-0.9")  # how the generator paints over a fault
HOSTS_PER_PROMPT = 4  # real images that one prompt edits before the prompts start again
UNKNOWN_RECALL = 0.5  # of a class without validation images
# Minimum need of a class with recall 1. Without images of its own, looking generated would tell it from the others.
LEAST_NEED = 0.05
Wanted = Mapping[str, Mapping[str, int]]  # method -> label -> images
SyntheticDocument = Document[types.GeneratedRecord, types.SyntheticSummary]


def run(settings: Settings, folder: RunFolder, models: Models, engine: Engine = IN_THIS_PROCESS) -> SyntheticDocument:
    """Paint by each method until every class has what it lacks.

    A second call after `curate` tops up what was rejected, for at most `generate.rounds` rounds.
    """
    dataset, prompts, adapter = folder.require(DATASET), folder.require(PROMPTS), folder.require(ADAPTER)
    painter = models.painter_folder.identity
    methods = [parse_method(name) for name in settings.generate.methods]
    others: dict[str, object] = {"seed": settings.seed}
    if any(method.heals for method in methods):
        others["healed_sides"] = list(learned_sides(settings.train.cross_fit))
    inputs = StageInputs.of(adapter.digest, settings.generate, others, {"painter": painter})
    previous = folder.finished(SYNTHETIC, inputs)
    wanted: Wanted = {
        method.name: wanted_of(method, dataset.records, settings.generate) for method in methods if not method.heals
    }
    round_number = 1 if previous is None else previous.summary.round + 1
    if settings.generate.budget == "recall":
        wanted = _by_recall(folder, previous, wanted, settings.generate)
    missing = wanted if previous is None else still_missing(folder, previous, wanted)
    nothing = not any(count for of_method in missing.values() for count in of_method.values())
    if previous and (nothing or round_number > settings.generate.rounds):
        return previous
    made = list(previous.records) if previous else []
    sources = Sources(dataset.records, prompts.records)
    plan = plan_images(settings, painter, adapter.summary, sources, missing, made)
    notes = list(previous.summary.notes) if previous else []
    if previous is None and any(method.heals for method in methods):
        heals, notes = plan_heals(settings, painter, sources)
        plan += heals
    journal = folder.journal(SYNTHETIC, types.GeneratedRecord, {**inputs.to_json(), "round": round_number})
    studio = _Studio(settings, folder, models, adapter.summary, {record.id: record for record in dataset.records})
    painted = engine.map(studio, _batches(plan, settings.generate.batch_size), journal, attrgetter("id"))
    records = sorted([*made, *(painted[item.id] for item in plan)], key=lambda record: record.id)
    summary = types.SyntheticSummary(round=round_number, wanted=wanted, notes=notes or ())
    return folder.write(Document(SYNTHETIC, inputs, records, summary))


def summary_line(document: SyntheticDocument) -> str:
    """Say in one line what the stage did."""
    notes = "".join(f"; {note}" for note in document.summary.notes)
    return f"{len(document.records)} images painted up to round {document.summary.round}{notes}"


def wanted_images(records: Sequence[types.DatasetRecord], settings: GenerateSettings) -> dict[str, int]:
    """Count the images that each method makes of a class: up to `target` with the real ones, from `floor` to `cap`."""
    real = dict(sorted(Counter(record.label for record in records if record.split == TRAIN).items()))
    target = settings.target or max(real.values())
    return {label: min(settings.cap, max(settings.floor, target - count)) for label, count in real.items()}


def wanted_of(method: Method, records: Sequence[types.DatasetRecord], settings: GenerateSettings) -> dict[str, int]:
    """Return `wanted_images` without the classes for which the method has nothing to start from."""
    wanted = wanted_images(records, settings)
    if not method.inserts:
        return wanted
    able = {label for label in wanted if _donors(records, label) and _hosts(records, label, settings)}
    return {label: count for label, count in wanted.items() if label in able}


def _donors(records: Sequence[types.DatasetRecord], label: str) -> list[types.DatasetRecord]:
    """Return the training images of a class with a box around what makes it one."""
    return [record for record in records if record.split == TRAIN and record.label == label and record.boxes]


def _hosts(records: Sequence[types.DatasetRecord], label: str, settings: GenerateSettings) -> list[types.DatasetRecord]:
    """Return the training images of the healthy equipment that `label`'s patches go onto."""
    host = settings.hosts.get(label)
    return [record for record in records if record.split == TRAIN and record.label == host]


def _edited(records: Sequence[types.DatasetRecord], label: str, hosts: Mapping[str, str]) -> list[str]:
    """Return the ids of training images that may become `label`: its own and its counterparts'.

    Both ways round, or having been edited would tell a fault from healthy equipment.
    """
    labels = {label, hosts.get(label), *(fault for fault, healthy in hosts.items() if healthy == label)}
    return [record.id for record in records if record.split == TRAIN and record.label in labels]


def _by_recall(
    folder: RunFolder, previous: SyntheticDocument | None, even: Wanted, section: GenerateSettings
) -> Wanted:
    """Say what each class should have after the coming round: an even part first, then most where recall is lowest."""
    if previous is None:
        return {
            method: {label: math.ceil(n / section.rounds) for label, n in of.items()} for method, of in even.items()
        }
    before, curation = previous.summary.wanted, folder.latest(CURATION)
    if curation is None or curation.inputs.parent != previous.digest or previous.summary.round >= section.rounds:
        return before
    recall = curation.summary.validation_recall
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


def still_missing(folder: RunFolder, previous: SyntheticDocument, wanted: Wanted) -> Wanted:
    """Count the kept images that each class lacks by the curation of `previous`; nothing while that is not done."""
    curation = folder.latest(CURATION)
    if curation is None or curation.inputs.parent != previous.digest:
        return {method: dict.fromkeys(of_method, 0) for method, of_method in wanted.items()}
    kept = Counter((record.method, record.label) for record in curation.records if record.kept)
    return {
        method: {label: max(0, count - kept[method, label]) for label, count in of_method.items()}
        for method, of_method in wanted.items()
    }


@dataclass(frozen=True)
class Sources:
    """What images are generated from."""

    real: Sequence[types.DatasetRecord]
    prompts: Sequence[types.PromptRecord]


@dataclass(frozen=True)
class _Start:
    """What one image starts from; the fields are those of PlannedImage."""

    prompt: types.PromptRecord | None
    source: str
    host: str | None
    box: types.Box | None
    boxes: Sequence[types.Box] = ()


def plan_images(
    settings: Settings,
    painter: Identity,
    adapter: types.AdapterSummary,
    sources: Sources,
    missing: Wanted,
    made: Sequence[types.GeneratedRecord],
) -> list[types.PlannedImage]:
    """Plan what to paint, in order: the class's prompts or patches in a seeded order, round after round, new seeds."""
    plan, before = [], Counter((record.method, record.label) for record in made)
    for name, of_method in missing.items():
        method = parse_method(name)
        digest = adapter.sha256 if method.adapted else None
        for label, count in of_method.items():
            first = before[name, label]
            starts = _starts(settings, method, label, sources)
            if count and not starts:
                raise InputError(f"{name} has no prompt of class {label} to start from; run `rarefault caption` again")
            for number in range(first, first + count):
                start = starts[number % len(starts)]
                plan.append(_planned(settings, painter, digest, method, label, number, start))
    return plan


def plan_heals(settings: Settings, painter: Identity, sources: Sources) -> tuple[list[types.PlannedImage], list[str]]:
    """Plan every training image of a fault with boxes once more without its faults; also say what cannot be healed."""
    method, healthy_of = parse_method(HEAL), healthy_labels(settings, {record.label for record in sources.real})
    boxed = [
        record for record in sources.real if record.split in learned_sides(settings.train.cross_fit) and record.boxes
    ]
    plan, prompts = [], dict[str, list[types.PromptRecord]]()
    for known in sources.prompts:
        prompts.setdefault(known.label, []).append(known)
    for number, record in enumerate(record for record in boxed if record.label in healthy_of):
        label = healthy_of[record.label]
        prompt = _healthy_prompt(settings, prompts, label, record.id) if settings.generate.knows_real_pictures else None
        start = _Start(prompt, record.id, record.id, None, record.boxes)
        plan.append(_planned(settings, painter, None, method, label, number, start))
    stray = sorted({record.label for record in boxed} & set(settings.data.faults) - set(healthy_of))
    notes = [f"heal: which label is {label} without its fault? say so in data.groups" for label in stray]
    if not plan and not stray:
        notes = ["heal: no training image of a fault has a box, so there is nothing to heal"]
    return plan, notes


def healthy_labels(settings: Settings, labels: Collection[str]) -> dict[str, str]:
    """Return the healthy label of each fault: of the only group that it befalls, or else of its host."""
    found = {fault: healthy for fault, healthy in settings.generate.hosts.items() if {fault, healthy} <= set(labels)}
    if can_tell_faults(list(labels), settings.data.faults):
        groups = resolve(sorted(labels), settings.data.faults, settings.data.groups, {})
        own = {fault: groups.group_of(fault) for fault in settings.data.faults}
        found |= {fault: groups.groups[group].healthy for fault, group in own.items() if group != NONE}
    return found


def _healthy_prompt(
    settings: Settings, prompts: Mapping[str, Sequence[types.PromptRecord]], label: str, image: str
) -> types.PromptRecord:
    """Return the prompt of the healthy label, of `prompts` by label, that is drawn for the image."""
    own = prompts.get(label)
    if not own:
        raise InputError(f"heal has no prompt of class {label} to paint by; run `rarefault caption` again")
    return own[item_seed(settings.seed, SYNTHETIC.document, f"heal/{image}") % len(own)]


def _starts(settings: Settings, method: Method, label: str, sources: Sources) -> list[_Start]:
    """List what the images of one class start from, in a seeded order: prompts, faults each with its host, or both."""
    rng = np.random.default_rng(item_seed(settings.seed, SYNTHETIC.document, label))
    of_label = [prompt for prompt in sources.prompts if prompt.label == label]
    if method.inserts:
        donors, hosts = _donors(sources.real, label), _hosts(sources.real, label, settings.generate)
        return _insertions(rng, donors, hosts, of_label if method.kind == "inpaint" else [None])
    edits = method.kind == "edit"
    edited: list[str | None] = [*_edited(sources.real, label, settings.generate.hosts)] if edits else [None]
    return [
        _Start(prompt, prompt.source, edited[rng.integers(len(edited))], None)
        for _ in range(HOSTS_PER_PROMPT if edits else 1)
        for prompt in (of_label[at] for at in rng.permutation(len(of_label)))
    ]


def _insertions(
    rng: np.random.Generator,
    donors: Sequence[types.DatasetRecord],
    hosts: Sequence[types.DatasetRecord],
    prompts: Sequence[types.PromptRecord | None],
) -> list[_Start]:
    """List every fault with every host, each with one of `prompts`; none without any, and None stands for no prompt."""
    pairs = [(donors[at // len(hosts)], hosts[at % len(hosts)], at) for at in rng.permutation(len(donors) * len(hosts))]
    texts = [prompts[at] for at in rng.permutation(len(prompts))]
    starts = []
    for number in range(max(len(pairs), len(texts)) if texts else 0):
        donor, host, at = pairs[number % len(pairs)]
        box = donor.boxes[at % len(donor.boxes)]
        starts.append(_Start(texts[number % len(texts)], donor.id, host.id, box))
    return starts


def _planned(
    settings: Settings, painter: Identity, adapter: str | None, method: Method, label: str, number: int, start: _Start
) -> types.PlannedImage:
    """Plan one image. The seed leaves the method out: methods differ in nothing but themselves."""
    section, prompt = settings.generate, start.prompt
    seed_of = f"{label}/{number}/{prompt.id if prompt else start.source}"
    planned = types.PlannedImage(
        id="",
        label=label,
        method=method.name,
        number=number,
        prompt_id=prompt.id if prompt else None,
        caption=prompt.caption if prompt else None,
        prompt=prompt.prompt if prompt else None,
        source=start.source,
        host=start.host,
        box=start.box,
        negative_prompt=section.negative_prompt,
        seed=item_seed(settings.seed, SYNTHETIC.document, seed_of),
        steps=section.steps,
        guidance=section.guidance,
        strength=method.strength,
        adapter=adapter,
        size=section.size,
        boxes=start.boxes,
    )
    decisive = {key: value for key, value in vars(planned).items() if key != "id"}
    return replace(planned, id=digest_of({**decisive, "painter": painter, "batch_size": section.batch_size})[:16])


@dataclass(frozen=True)
class _Painted:
    """An image, or why there is none."""

    frame: Frame | None
    why_none: str = SAFETY_FILTER
    place: list[int] | None = None  # of an inserted fault in its host: x, y, width, height in pixels
    how: str = ""  # it was healed


@dataclass(frozen=True)
class _Studio:
    """The work on batches of planned images, each of one method: what painting needs at hand."""

    what: ClassVar[str] = "image batches"
    settings: Settings
    folder: RunFolder
    models: Models
    adapter: types.AdapterSummary
    sources: Mapping[str, types.DatasetRecord]  # by id

    def start(self) -> Callable[[Sequence[types.PlannedImage]], list[types.GeneratedRecord]]:
        """Return what paints a batch and saves its pictures."""

        def painted(batch: Sequence[types.PlannedImage]) -> list[types.GeneratedRecord]:
            images = self.paint(parse_method(batch[0].method), batch)
            return [_save(self.folder, item, image) for item, image in zip(batch, images, strict=True)]

        return painted

    def paint(self, method: Method, batch: Sequence[types.PlannedImage]) -> list[_Painted]:
        """Paint planned images, all of one method."""
        if method.domain is not None:
            return [_Painted(self._rendered(item, method.domain)) for item in batch]
        if method.inserts:
            return self._inserted(method, batch)
        if method.heals:
            return self._healed(batch)
        orders = [
            Order(item.prompt or "", item.seed, self._source(item) if method.starts_from_image else None)
            for item in batch
        ]
        return [_Painted(frame) for frame in self._ordered(method, orders)]

    def _inserted(self, method: Method, batch: Sequence[types.PlannedImage]) -> list[_Painted]:
        """Put faults into hosts, each in a place that fits."""
        found = [self._fitted(item) for item in batch]
        fitting = [(item, fitted) for item, fitted in zip(batch, found, strict=True) if fitted]
        made: list[Frame | None]
        if method.kind == "heatup":
            return [_heated(fitted) for fitted in found]
        if method.kind == "transplant":
            made = [transplant(fitted) for _, fitted in fitting]
        else:
            made = self._inpainted(method, fitting)
        frames = iter(made)
        return [_Painted(next(frames), place=fitted.box) if fitted else _Painted(None, TOO_LARGE) for fitted in found]

    def _fitted(self, item: types.PlannedImage) -> Fitted | None:
        assert item.host is not None  # every inserting method plans both
        assert item.box is not None
        host, donor = self._frame(item.host), self._frame(item.source)
        if parse_method(item.method).kind == "heatup":
            boxes = [_box(other) for other in self.sources[item.source].boxes]
            return fit_heat(host, donor, boxes, _box(item.box), item.seed)
        return fit(host, donor, _box(item.box), item.seed)

    def _healed(self, batch: Sequence[types.PlannedImage]) -> list[_Painted]:
        """Take the faults out of pictures: by cooling, by a generator that knows real pictures, or by patching."""
        frames = [self._frame(item.source) for item in batch]
        if not self.settings.generate.knows_real_pictures:
            return [_healed(frame, item) for frame, item in zip(frames, batch, strict=True)]
        painted = [
            _healed(frame, item) if palette_of(frame).is_false_colour else _Painted(frame, how=BY_GENERATOR)
            for frame, item in zip(frames, batch, strict=True)
        ]
        for turn in range(max(len(item.boxes) for item in batch)):
            open_holes = [
                (row, in_place(made.frame, _box(batch[row].boxes[turn])))
                for row, made in enumerate(painted)
                if made.how == BY_GENERATOR and made.frame is not None and turn < len(batch[row].boxes)
            ]
            filled = self._inpainted(HEALING, [(batch[row], fitted) for row, fitted in open_holes])
            for (row, _), frame in zip(open_holes, filled, strict=True):
                painted[row] = replace(painted[row], frame=frame)
        return painted

    def _rendered(self, item: types.PlannedImage, domain: str) -> Frame:
        if self.models.renderer is None:
            raise InputError(f"{item.method} needs a renderer, and none was handed in; run `rarefault generate`")
        return self.models.renderer(item.seed, domain, item.label, self.models.painter.side)

    def _inpainted(self, method: Method, fitting: Sequence[tuple[types.PlannedImage, Fitted]]) -> list[Frame | None]:
        side = self.models.painter.side
        holes = [hole_for(fitted) for _, fitted in fitting]
        orders = [
            Order(item.prompt or "", item.seed, *hole.crop(side))
            for (item, _), hole in zip(fitting, holes, strict=True)
        ]
        painted = self._ordered(method, orders) if orders else []
        return [None if square is None else hole.fill(square) for hole, square in zip(holes, painted, strict=True)]

    def _ordered(self, method: Method, orders: Sequence[Order]) -> list[Frame | None]:
        path = self.adapter.path if method.adapted else None  # None, too, where it did no good and was not kept
        return self.models.painter.paint(orders, method, self.folder.path / path if path else None)

    def _source(self, item: types.PlannedImage) -> Frame:
        side = self.models.painter.side
        return resize_by_area(self._frame(item.host or item.source), side, side)

    def _frame(self, image: str) -> Frame:
        return ImageStore(self.settings).frame(self.sources[image])


def _heated(fitted: Fitted | None) -> _Painted:
    if fitted is None:
        return _Painted(None, NO_HEAT)
    made = heat_up(fitted)
    return _Painted(made, place=heat_box(made, fitted.host))


def _healed(frame: Frame, item: types.PlannedImage) -> _Painted:
    made, how = healed(frame, [_box(box) for box in item.boxes])
    return _Painted(made, NO_COVER, how=how)


def _box(box: types.Box) -> Box:
    x, y, width, height = box
    return x, y, width, height


def _batches(plan: Sequence[types.PlannedImage], size: int) -> list[list[types.PlannedImage]]:
    """Cut the plan into batches, each of one method."""
    methods = dict.fromkeys(item.method for item in plan)
    of_methods = [[item for item in plan if item.method == method] for method in methods]
    return [part[start : start + size] for part in of_methods for start in range(0, len(part), size)]


def _save(folder: RunFolder, item: types.PlannedImage, painted: _Painted) -> types.GeneratedRecord:
    """Write the image as PNG and return its record; an image that there is not gets a reason and no file."""
    image, place, how = painted.frame, painted.place, painted.how
    if how and how != BY_GENERATOR:  # no prompt took part
        item = replace(item, prompt_id=None, caption=None, prompt=None)
    if image is None or not image.any():
        why = painted.why_none
        return types.GeneratedRecord(**vars(item), place=place, path=None, sha256=None, blanked=why, how=how)
    relative = f"synthetic/images/{safe_name(item.label)}/{item.id}.png"
    path = folder.path / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    data = cv2.imencode(".png", image)[1].tobytes()
    replace_file(path, data)
    digest = sha256_bytes(data)
    return types.GeneratedRecord(**vars(item), place=place, path=relative, sha256=digest, blanked=None, how=how)
