"""Typed settings of the pipeline: what each key means, which values it takes, and which of them contradict each other.

`pipeline.toml` in a run folder holds every key, so that nothing a run depends on is hidden in a default.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from augment.methods import parse_method
from augment.store_urls import is_url, url_problems
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import replace_file
from edge_runtime.bundle.heads import Pooling
from edge_runtime.bundle.manifest import PRECISIONS
from edge_runtime.bundle.radiometric import RadiometricRule
from edge_runtime.settings_reader import build, read_toml
from edge_runtime.text_files import normal

T = TypeVar("T")

MAX_SYNTHETIC_PER_CLASS = 370
SIZE_STEP, LEAST_SIZE = 8, 32  # pixels; what an autoencoder of factor 8 can paint, and what is large enough to be seen
LONGEST_NAME = 64  # characters of a bundle's name
LEAST_SPLIT_BATCH = 3  # images: one of the two kinds has at least two of them, and so batch statistics


def setting(
    default: Any, meaning: str, *, low: float | None = None, high: float | None = None, choices: tuple[str, ...] = ()
) -> Any:
    """Return a settings field: its default, what it means (the comment in pipeline.toml) and the values it takes."""
    metadata = {"meaning": meaning, "low": low, "high": high, "choices": choices}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def fraction(default: float, meaning: str) -> Any:
    """Return a settings field that takes numbers from 0 to 1."""
    return setting(default, meaning, low=0.0, high=1.0)


def composed(value: T) -> T:
    """Return texts, or a tuple or dictionary of such, in Unicode's composed form, by which labels are compared."""
    if isinstance(value, str):
        return normal(value)  # type: ignore[return-value]
    if isinstance(value, tuple):
        return tuple(composed(entry) for entry in value)  # type: ignore[return-value]
    return {normal(key): composed(entry) for key, entry in value.items()}  # type: ignore[attr-defined,return-value]


@dataclass(frozen=True)
class DataSettings:
    """Where the images come from, and how they are split."""

    source: str = setting(
        "",
        "the images: a folder, a CSV manifest, or the package name elpv-dataset; a relative path counts from this "
        "file's folder; or either on a store, such as s3://bucket/folder or sftp://host/folder",
    )
    store_cache: str = setting(
        "", "folder in which pictures from a store are kept, for all runs; empty: rarefault/stores in the user's cache"
    )
    store_gib: float = setting(
        200.0, "how much of them is kept there, in GiB; beyond it the longest unused are fetched again", low=0.001
    )
    layout: str = setting(
        "auto", "how the source is laid out", choices=("auto", "folders", "oxford-pets", "elpv", "manifest")
    )
    levels: str = setting(
        "",
        "what the levels of folders below the source name, from the top, with slashes between: class; split (train, "
        "valid, test); * nothing; any other word, such as site or date, what stays together on one side of the split: "
        "split/class, site/class/date; empty: read from the names of the folders, or asked for where these are unclear",
    )
    faults: tuple[str, ...] = setting((), "the labels that are faults; edge-classify flags these")
    groups: dict[str, tuple[str, ...]] = setting(
        {},
        "labels that show one kind of equipment, the healthy one and its faults, such as "
        "{line = [line_normal, line_hotspot]}, each label in quotes; {}: every fault may befall whatever is healthy",
    )
    kinds: dict[str, tuple[str, ...]] = setting(
        {},
        "fault labels of several groups that look alike and are learned as one, such as "
        "{hotspot = [line_hotspot, tower_hotspot]}; {}: one kind where no group has two faults, else one per label",
    )
    boxes: str = setting(
        "",
        "boxes around faults: a folder of Pascal VOC (.xml) or YOLO (.txt) files named like the images, or a COCO file "
        "(.json); empty: such files beside the images, or in folders labels or Annotations beside them",
    )
    feedback: str = setting(
        "",
        "what stations judged: a folder that `rarefault feedback` filled; empty: the folder feedback beside this file, "
        "where there is one",
    )
    radiometric: str = setting(
        "",
        "how pictures of measured values, such as temperatures in 16 bits or floating-point numbers, become grey "
        "levels: range LOW HIGH in the files' own values (range 20 90 for degrees), which keeps what hot and cold "
        "mean, or percentiles LOW HIGH of each picture (percentiles 1 99); empty: they are left out and told",
    )
    box_units: str = setting(
        "pixels",
        "what the x, y, width and height of a manifest's and a COCO file's boxes are: pixels of the upright image, or "
        "fractions of its width and height",
        choices=("pixels", "fractions"),
    )
    least_side: int = setting(16, "images with a side of fewer pixels are left out", low=1)
    most_aspect: float = setting(
        20.0, "images whose longer side is more than this many times the shorter are left out", low=1.0
    )
    most_problems: float = fraction(
        0.25,
        "share of the files, and of the boxes, that may have a problem and are then left out; where more have, nothing "
        "is run",
    )
    licence: str = setting("", "terms under which the images may be used; the bundle's manifest repeats it")
    phrases: dict[str, str] = setting(
        {}, "words for a label in captions and prompts, where underscores to spaces is not enough"
    )
    validation_share: float = setting(0.2, "share of the images for validation", low=0.05, high=0.5)
    test_share: float = setting(
        0.2,
        "share of the images for the locked test set, where the data set brings no list of its own",
        low=0.05,
        high=0.5,
    )
    folds: int = setting(
        0, "0: one split by the shares; more: as many folds of whole groups, one of them the test set", low=0, high=20
    )
    fold: int = setting(0, "which fold is the test set, from 0; the next one is for validation", low=0, high=19)
    blocks: int = setting(
        0,
        "0: no rule; more: files whose numbers fall into one block of this many stand on one side, whatever they show "
        "(a harsher split, as if every block were one visit)",
        low=0,
    )
    burst_gap: int = setting(1, "files whose numbers differ by at most this may be one burst", low=0)
    burst_similarity: float = fraction(
        0.75, "and are one burst if their thumbnails, shifted to fit best, correlate at least this much"
    )
    duplicate_bits: int = setting(
        6,
        "two images are duplicates if their 64-bit perceptual hashes differ in at most this many bits "
        "and their thumbnails agree in detail",
        low=0,
        high=32,
    )
    copies: str = setting(
        "pictures",
        "how copies made offline (turned, mirrored, cropped, saved anew) are found, which then stand on one side: "
        "pictures (by names and by the pictures themselves), names (hashes and words that tools add to a name), off",
        choices=("pictures", "names", "off"),
    )
    group_pattern: str = setting(
        "",
        "a regular expression over each image's path; images in which its group `asset` (else its first group, else "
        "the whole match) is the same stand on one side, such as '(unit\\d+)_'; empty: no rule",
    )
    group_exif: str = setting(
        "",
        "images that EXIF gives one day, camera (its serial number) or place stand on one side; empty: no rule",
        choices=("", "day", "camera", "place"),
    )
    embedding: str = setting(
        "lite0", "what measures likeness of images: lite0, or a CLIP or DINOv2 hub id or local folder"
    )

    def unrelated(self) -> "DataSettings":
        """Return the same for images of which none shows what another does, such as rendered ones."""
        return replace(self, burst_gap=0, duplicate_bits=0, copies="off")

    def __post_init__(self) -> None:
        """Compose the letters of labels (NFC): they are compared with names of files, whichever system wrote those."""
        for key in ("faults", "groups", "kinds", "phrases"):
            object.__setattr__(self, key, composed(getattr(self, key)))

    @property
    def radiometric_rule(self) -> RadiometricRule | None:
        """The rule by which radiometric pictures become grey levels; None where they are left out."""
        return RadiometricRule.parse(self.radiometric) if self.radiometric else None

    def contradictions(self) -> list[str]:
        """Return a sentence for each of the section's keys, or pairs of keys, that cannot be meant."""
        wrong = []
        if not self.source:
            wrong.append("data.source is empty, expected a folder, a CSV manifest or elpv-dataset")
        for key in ("source", "boxes"):
            wrong += url_problems(getattr(self, key), f"data.{key}")
        if self.validation_share + self.test_share > 0.8:
            wrong.append("data.validation_share and data.test_share leave less than 20 % for training")
        wrong += self._level_contradictions() + _twice(self.faults, "data.faults")
        if self.folds in (1, 2) or self.fold >= max(self.folds, 1):
            wrong.append("data.folds must be 0, or 3 and more, and data.fold below it")
        try:
            _ = self.radiometric_rule
        except InputError as error:
            wrong.append(f"data.radiometric: {error}")
        try:
            re.compile(self.group_pattern)
        except re.error as error:
            wrong.append(
                f"data.group_pattern is {self.group_pattern!r}, which is no regular expression ({error}); expected one "
                "such as '(unit\\d+)_'"
            )
        return wrong + self._group_contradictions() + self._kind_contradictions()

    def _level_contradictions(self) -> list[str]:
        roles = [role.strip() for role in self.levels.split("/")] if self.levels else ["class"]
        if roles.count("class") == 1 and roles.count("split") <= 1 and all(roles):
            return []
        return [
            f"data.levels is {self.levels!r}, expected words with slashes between, class once among them and split at "
            "most once, such as split/class or site/class/date"
        ]

    def _group_contradictions(self) -> list[str]:
        wrong = _in_two(self.groups, "data.groups")
        for name, labels in self.groups.items():
            healthy = [label for label in labels if label not in self.faults]
            if not name or len(healthy) != 1:
                seen = f"{', '.join(healthy)} are none" if healthy else "all of its labels are"
                wrong.append(
                    f"data.groups.{name} needs a name and exactly one label that is no fault, but {seen} of data.faults"
                )
        return wrong

    def _kind_contradictions(self) -> list[str]:
        wrong = _in_two(self.kinds, "data.kinds")
        for name, labels in self.kinds.items():
            strangers = [label for label in labels if label not in self.faults]
            if strangers or not labels or not name:
                seen = f"names {', '.join(strangers)}" if strangers else "names nothing"
                wrong.append(f"data.kinds.{name} {seen}, expected a name and labels of data.faults")
            for group, members in self.groups.items():
                if len(same := [label for label in labels if label in members]) > 1:
                    wrong.append(
                        f"data.kinds.{name} joins {' and '.join(same)}, which data.groups.{group} tells apart; "
                        "a group has a fault of each kind once"
                    )
        return wrong


def _twice(names: tuple[str, ...], key: str) -> list[str]:
    """Return a sentence for each of `names`, the setting `key`, that stands in it more than once."""
    return [f"{key} names {name} {count} times, expected once" for name, count in Counter(names).items() if count > 1]


def _in_two(lists: Mapping[str, tuple[str, ...]], key: str) -> list[str]:
    """Return a sentence for each label that stands twice in `lists`, the setting `key`."""
    counts = Counter(label for labels in lists.values() for label in labels)
    return [f"{key} names {label} {count} times, expected once" for label, count in counts.items() if count > 1]


@dataclass(frozen=True)
class CaptionSettings:
    """The model that describes every training image, and how."""

    model: str = setting("mini", "BLIP: a hub id, a local folder, or mini (the embedded one)")
    revision: str = setting("", "hub revision; empty is the newest")
    sha256: str = setting("", "pin: the model folder's digest; empty accepts any")
    per_class: int = setting(
        0, "images of a class that are captioned at most, evenly over them; 0 captions all training images", low=0
    )
    prefix: str = setting("a photo of a {phrase}", "text that conditions the caption; {phrase} is the class in words")
    max_new_tokens: int = setting(24, "length of a caption beyond its prefix, in tokens", low=1, high=200)
    batch_size: int = setting(16, "images per forward pass", low=1)

    def contradictions(self) -> list[str]:
        """Return a sentence where the prefix cannot be filled in."""
        try:
            self.prefix.format(phrase="x")
        except (KeyError, IndexError, ValueError, AttributeError):
            return [f"caption.prefix is {self.prefix!r}, expected a text with {{phrase}} and no other braces"]
        return []


@dataclass(frozen=True)
class RefineSettings:
    """How captions become prompts, and which prompts are good enough."""

    model: str = setting("mini", "GPT-2: a hub id, a local folder, or mini (the embedded one)")
    revision: str = setting("", "hub revision; empty is the newest")
    sha256: str = setting("", "pin: the model folder's digest; empty accepts any")
    contexts: str = setting(
        "all",
        "whose backgrounds a caption's prompts show: its own, or those of a caption drawn from all classes, so that no "
        "class keeps its own",
        choices=("own", "all"),
    )
    variants: int = setting(4, "prompts wanted per caption", low=1, high=50)
    attempts: int = setting(12, "continuations drawn per caption and round to find them", low=1, high=500)
    rounds: int = setting(3, "rounds of drawing while prompts are missing", low=1, high=100)
    meaning: str = setting(
        "auto",
        "what judges meaning: a sentence-transformers hub id or local folder, minilm (the installed package), lexical "
        "(shared words), or auto (minilm where installed, else lexical)",
    )
    meaning_sha256: str = setting("", "pin: the model folder's digest; empty accepts any")
    nearness: float = fraction(0.65, "a prompt less like its caption than this (cosine) is rejected")
    sameness: float = fraction(0.95, "a prompt more like another of its caption than this (cosine) is rejected")
    temperature: float = setting(0.9, "sampling temperature", low=0.1, high=3.0)
    top_p: float = setting(0.95, "nucleus sampling: probability mass kept", low=0.05, high=1.0)
    max_new_tokens: int = setting(24, "length of a continuation, in GPT-2 tokens", low=1, high=200)

    def contradictions(self) -> list[str]:
        """Return a sentence where the section's keys cannot be meant together."""
        return ["refine.attempts is less than refine.variants"] if self.attempts < self.variants else []


@dataclass(frozen=True)
class AdaptSettings:
    """The low-rank adapter (LoRA) of the generator; trained only where a method of [generate] is an adapted one."""

    rank: int = setting(16, "rank of the adapter's matrices", low=1, high=256)
    steps: int = setting(1500, "training steps at most", low=1)
    evaluate_every: int = setting(250, "steps between two looks at the validation images", low=1)
    patience: int = setting(2, "looks without a nearer match to the validation images before training stops", low=1)
    look_images: int = setting(96, "images painted for one look", low=8, high=2000)
    batch_size: int = setting(4, "images per step", low=1)
    learning_rate: float = setting(1e-4, "learning rate", low=1e-7, high=1.0)


@dataclass(frozen=True)
class GenerateSettings:
    """The model that paints images, how many of each class, and by which methods."""

    model: str = setting("mini", "Stable Diffusion: a hub id, a local folder, or mini (the embedded one)")
    revision: str = setting("", "hub revision; empty is the newest")
    sha256: str = setting("", "pin: the model folder's digest; empty accepts any")
    methods: tuple[str, ...] = setting(
        ("text2img",),
        "each class gets its quota from every one of: text2img, img2img-0.5 (any number), inpaint-0.9, transplant, "
        "heatup, adapted-text2img; heal is beside the quotas: every training image with boxes around its faults, also "
        "without them, as an image of healthy equipment",
    )
    hosts: dict[str, str] = setting(
        {},
        "for transplant, heatup and inpaint: the label of healthy equipment that a fault goes onto; for heal: the "
        "label that it leaves, where data.groups does not say",
    )
    size: int = setting(0, "side of a generated image in pixels; 0 is the model's own", low=0, high=2048)
    steps: int = setting(20, "DPM-Solver++ steps", low=1, high=200)
    guidance: float = setting(3.0, "classifier-free guidance scale", low=1.0, high=30.0)
    negative_prompt: str = setting("", "what the images should not show")
    target: int = setting(
        0, "images per class, real training images included; 0 is the size of the largest class", low=0
    )
    cap: int = setting(
        MAX_SYNTHETIC_PER_CLASS, "generated images per class at most", low=1, high=MAX_SYNTHETIC_PER_CLASS
    )
    floor: int = setting(
        0,
        "generated images per class at least, so that the synthetic arm has every class",
        low=0,
        high=MAX_SYNTHETIC_PER_CLASS,
    )
    rounds: int = setting(3, "rounds of generate and curate to replace rejected images", low=1, high=20)
    budget: str = setting(
        "even",
        "even: a class gets its quota, whatever it needs; recall: the sum of all quotas, a part in every round, goes "
        "where validation recall is low (a classifier on embeddings measures it between the rounds)",
        choices=("even", "recall"),
    )
    batch_size: int = setting(16, "images per diffusion batch; a change of it changes pixels in the last bits", low=1)
    low_memory: str = setting(
        "auto", "what to do when GPU memory is short", choices=("auto", "off", "slicing", "offload")
    )

    def __post_init__(self) -> None:
        """Compose the letters of labels, as `DataSettings` does."""
        object.__setattr__(self, "hosts", composed(self.hosts))

    @property
    def knows_real_pictures(self) -> bool:
        """Whether the model can paint parts of photographs; the embedded one knows its own drawings alone."""
        return self.model != "mini"

    def contradictions(self) -> list[str]:
        """Return a sentence for each method that is unknown or lacks what it needs, and for an impossible size."""
        wrong = _twice(self.methods, "generate.methods")
        for method in self.methods:
            try:
                parsed = parse_method(method)
            except InputError as error:
                wrong.append(f"generate.methods: {error}")
                continue
            if parsed.inserts and not self.hosts:
                pair = 'such as {leak = "healthy"}'
                wrong.append(f"generate.methods names {method}, but generate.hosts names no pair, {pair}")
            if parsed.strength is not None and self.steps * parsed.strength < 1:
                wrong.append(
                    f"generate.methods names {method}, which is less than one of generate.steps ({self.steps}); raise "
                    "the steps or the strength"
                )
        if self.size and (self.size % SIZE_STEP or self.size < LEAST_SIZE):
            near = max(round(self.size / SIZE_STEP) * SIZE_STEP, LEAST_SIZE)
            wrong.append(
                f"generate.size is {self.size}, expected 0 or a multiple of {SIZE_STEP} from {LEAST_SIZE} on, such as "
                f"{near}"
            )
        if not self.methods:
            wrong.append('generate.methods is empty, expected at least one, such as "text2img"')
        if self.floor > self.cap:
            wrong.append(f"generate.floor ({self.floor}) is more than generate.cap ({self.cap})")
        return wrong


@dataclass(frozen=True)
class CurateSettings:
    """Which generated images may teach. "Usual" is the distance of real training images to their nearest neighbour of
    another group; how far that is depends on the data set, so distances are stated in it."""

    blank_std: float = setting(4.0, "an image whose brightness varies by less is blank, in grey levels of 255", low=0.0)
    duplicate_bits: int = setting(
        6,
        "two generated images of a class within this Hamming distance (64-bit perceptual hash) are one if their "
        "thumbnails agree in detail, more than any two real images do; -1: no rule",
        low=-1,
        high=32,
    )
    copy_bits: int = setting(
        12, "so is a generated image within this distance of a training image its copy; -1: no rule", low=-1, high=32
    )
    lookalike_bits: int = setting(
        12, "and one within this distance of a validation or test image is too near it; -1: no rule", low=-1, high=32
    )
    floor: float = setting(
        0.5,
        "nearer to a real or another generated image than this times the lowest usual distance (5th percentile) is a "
        "copy, whatever the hash says, unless that rule is off",
        low=0.0,
        high=10.0,
    )
    ceiling: float = setting(
        2.0,
        "farther from every training image than this times the high usual distance (95th percentile), or nearly as far "
        "as noise, is out of this world",
        low=0.0,
    )
    top_k: int = setting(
        1,
        "the label must be among this many classes that classifiers trained on real images, and on the other "
        "generated ones, find likeliest; 0: no rule",
        low=0,
    )
    visible: float = setting(
        12.0,
        "a fault that is set into a host must change it by this many grey levels somewhere, and healing by twice as "
        "many in every box",
        low=0.0,
    )
    cap: int = setting(0, "images of a class kept at most; 0: no limit", low=0)
    recall_target: float = setting(
        0.9, "the report says how many images to photograph for this recall of a class", low=0.1, high=0.999
    )
    share: float = fraction(1.0, "generated images may be this share of a class's training images at most")


@dataclass(frozen=True)
class TrainSettings:
    """The training sets that are compared, and how a network is trained on each."""

    arms: tuple[str, ...] = setting(
        ("real", "synthetic", "combined"),
        "training sets to compare: real, synthetic, combined, or parts joined by +, such as real+balanced+img2img-0.5 "
        "(balanced: every class as often as the others, TrivialAugment; gate: without generated images "
        "that harm; uncurated: with those that curation rejected; classic: the class head, whatever train.head says)",
    )
    seeds: int = setting(2, "trainings per arm, each with its own seed", low=1, high=100)
    backbone: str = setting("resnet50", "the network", choices=("resnet50", "efficientnet_lite0"))
    width: int = setting(64, "64 is the published network, less is a narrower one", low=8, high=128)
    weights: str = setting("none", "initial weights: none, imagenet, or a .safetensors or .pth file")
    layers: str = setting(
        "all",
        "what is trained: the whole network, or only the classifier on its frozen features, which needs fewer images",
        choices=("all", "classifier"),
    )
    head: str = setting(
        "class",
        "what ends the network: class, one label for the whole picture; spatial, a map of cells for every kind of "
        "fault, and which group of equipment is shown; auto, spatial where data.faults and a healthy label are there",
        choices=("class", "spatial", "auto"),
    )
    pooling: str = setting(
        "top-4", "with a spatial head, how a map becomes the score: max, lse (log mean exp) or the mean of the top-4"
    )
    centre: float = fraction(
        0.0,
        "with a spatial head that boxes teach, this share of each picture's own mean is taken off its features: with "
        "more of it, differences within a picture count and its general look does not",
    )
    generated_weight: float = setting(
        0.2,
        "with a spatial head, how much a generated picture weighs beside a real one of its class; a healed one weighs "
        "as much as the fault that it comes from",
        low=0.0,
        high=1.0,
    )
    cross_fit: int = setting(
        0,
        "with layers = classifier, 0: validation images choose; more: the classifier learns from them too, and each is "
        "judged by one of as many trainings that have not seen it",
        low=0,
        high=20,
    )
    synthetic_shares: tuple[float, ...] = setting(
        (0.0,),
        "weight of generated images in a class that has both kinds, 0 to 0.95; 0 counts every image alike; of several, "
        "validation chooses (with layers = classifier)",
    )
    gate_confidence: float = setting(
        0.8,
        "arms that name gate drop generated images where a class loses validation recall beyond an interval of this "
        "confidence",
        low=0.5,
        high=0.999,
    )
    size: int = setting(224, "side of the network's input in pixels; of a native one the longer", low=32, high=1024)
    aspect: str = setting(
        "square",
        "shape of the network's input: square, or native (the median aspect of the training images, in whole 32 "
        "pixels; smaller images make a smaller input, at most twice their size)",
        choices=("square", "native"),
    )
    tiles: int = setting(
        1,
        "with a spatial head, overlapping tiles along the long side of a large image at most, each as large as the "
        "input; 0: as many as needed where images are twice as large as the input",
        low=0,
        high=8,
    )
    steps: int = setting(2000, "optimiser steps of every arm", low=1)
    evaluate_every: int = setting(100, "steps between two looks at the validation set", low=1)
    patience: int = setting(
        6, "looks without a better validation macro F1 (of a spatial head: ranking) before training stops", low=1
    )
    batch_size: int = setting(32, "images per step", low=2)
    optimizer: str = setting("adamw", "optimiser", choices=("adamw", "sgd"))
    learning_rate: float = setting(1e-3, "peak learning rate", low=1e-7, high=10.0)
    backbone_rate: float = setting(
        1.0,
        "with layers = all, learning rate of the backbone as a share of the head's: less than 1 where the backbone "
        "begins with weights that are worth keeping and the head does not",
        low=0.0,
        high=1.0,
    )
    weight_decay: float = setting(0.05, "decoupled weight decay (L2 for sgd)", low=0.0)
    warmup: float = setting(
        0.1, "share of the steps in which the learning rate rises; then it falls as a cosine", low=0.0, high=0.9
    )
    label_smoothing: float = setting(0.1, "label smoothing", low=0.0, high=0.9)
    views: str = setting(
        "mild",
        "with layers = all and the class head, views of training images in every arm: mild crops and light alone, or "
        "TrivialAugment or RandAugment beside them; balanced arms use TrivialAugment whatever this says",
        choices=("mild", "trivial", "rand"),
    )
    mixup: float = setting(
        0.0,
        "with layers = all and the class head, blend images of a step in pairs: alpha of the share; 0 is off",
        low=0.0,
        high=10.0,
    )
    cutmix: float = setting(
        0.0,
        "the same with a patch of one image set into the other; with both on, every step takes one of them by chance",
        low=0.0,
        high=10.0,
    )
    balance: str = setting(
        "none",
        "with layers = all and the class head, the loss expects rare classes to be rare, so that the network does not "
        "learn it: softmax is the balanced softmax",
        choices=("none", "softmax"),
    )
    ema: float = setting(
        0.0,
        "with layers = all, what is measured and kept is a running average of the weights that keeps this share of "
        "itself at every step, less at first; 0 is off",
        low=0.0,
        high=0.9999,
    )
    replace: float = fraction(
        0.0,
        "in arms with both kinds, probability that a generated image of the class stands in for a drawn real one; 0: "
        "both kinds are drawn alike",
    )
    real_last: float = fraction(
        0.0,
        "with layers = all, in arms with both kinds, share of the steps, the last ones, that see real images only "
        "(and generated ones of a class that has no others)",
    )
    synthetic_norm: bool = setting(
        False,
        "in arms with both kinds and the class head, generated images have batch norms of their own, which end with "
        "the training",
    )

    def contradictions(self) -> list[str]:
        """Return a sentence for each pair of the section's keys that cannot be meant together."""
        wrong = _twice(self.arms, "train.arms")
        shares = self.synthetic_shares
        if not shares or any(not 0 <= share <= 0.95 for share in shares):
            wrong.append(f"train.synthetic_shares is {list(shares)}, expected numbers from 0 to 0.95")
        if self.replace and any(shares):
            wrong.append("train.replace and train.synthetic_shares both weigh generated images; set one of them to 0")
        if self.synthetic_norm and self.batch_size < LEAST_SPLIT_BATCH:
            wrong.append(
                f"train.synthetic_norm splits every batch by kind, and train.batch_size is {self.batch_size}, "
                f"expected at least {LEAST_SPLIT_BATCH}"
            )
        wrong += self._head_contradictions()
        if self.layers == "classifier":
            return wrong + self._classifier_contradictions()
        if self.cross_fit:
            wrong.append("train.cross_fit is for train.layers = classifier; set it to 0, or train the classifier alone")
        if len(shares) > 1:
            wrong.append("train.synthetic_shares names several, which only train.layers = classifier can choose from")
        return wrong

    def _head_contradictions(self) -> list[str]:
        wrong = []
        if self.head == "class" and self.tiles != 1:
            wrong.append("train.tiles is for a spatial head; set it to 1, or train.head to spatial or auto")
        if self.cross_fit == 1:
            wrong.append("train.cross_fit is 1, expected 0, or 2 and more trainings")
        try:
            Pooling.parse(self.pooling)
        except InputError as error:
            wrong.append(f"train.pooling: {error}")
        return wrong

    def _classifier_contradictions(self) -> list[str]:
        whole = [key for key in ("replace", "synthetic_norm") if getattr(self, key)]
        wrong = [f"train.{key} is for train.layers = all; leave it out, or train the whole network" for key in whole]
        if self.weights == "none":
            wrong.append("train.layers is classifier, but train.weights is none: random features classify nothing")
        return wrong


@dataclass(frozen=True)
class CompareSettings:
    """Which two training sets the verdict is about, and how it is reached."""

    baseline: str = setting("real", "the arm to beat")
    candidate: str = setting("combined", "the arm that should beat it")
    metric: str = setting("macro_f1", "what decides the verdict", choices=("accuracy", "macro_f1", "macro_recall"))
    resamples: int = setting(2000, "bootstrap resamples of the test images", low=100)
    confidence: float = setting(0.95, "of the intervals", low=0.5, high=0.999)


PROVEN = "proven"  # of export.arm: the arm that the verdict is for


@dataclass(frozen=True)
class ExportSettings:
    """Which network is packed for the edge, and in which precisions."""

    arm: str = setting(
        "combined",
        "whose network is packed: an arm, or proven, which is compare.candidate where the verdict is PASS and else "
        "compare.baseline; of its seeds, the best on validation",
    )
    name: str = setting("rarefault", "the bundle's name")
    precisions: tuple[str, ...] = setting(
        ("fp32", "fp16", "int8"), "ONNX files to pack; one that is worse than the network on the test set is left out"
    )
    recall_target: float = setting(
        0.0,
        "share of a fault's validation images that its threshold must flag, with as few false alarms as that allows; "
        "0: the threshold with the best F1",
        low=0.0,
        high=0.999,
    )
    specificity: float = setting(
        0.0,
        "share of the validation images without a fault that its threshold must leave alone, with as much recall as "
        "that allows; 0: not asked for",
        low=0.0,
        high=0.999,
    )

    def contradictions(self) -> list[str]:
        """Return a sentence for every contradiction within this section, and for names that nothing has."""
        wrong = _twice(self.precisions, "export.precisions")
        if unknown := [name for name in self.precisions if name not in PRECISIONS]:
            wrong.append(f"export.precisions names {unknown[0]!r}, expected some of {', '.join(PRECISIONS)}")
        elif "fp32" not in self.precisions:
            wrong.append("export.precisions lacks fp32, by which the others are judged; add it")
        if not (self.name.strip() and self.name.isprintable() and len(self.name) <= LONGEST_NAME):
            wrong.append(f"export.name is {self.name!r}, expected 1 to {LONGEST_NAME} characters in one line")
        if self.recall_target and self.specificity:
            wrong.append("export.recall_target and export.specificity ask for two thresholds; set one of them to 0")
        return wrong


@dataclass(frozen=True)
class Settings:
    """Everything that `pipeline.toml` holds."""

    seed: int = setting(0, "the one seed that all randomness comes from", low=0, high=2**63 - 1)
    device: str = setting("auto", "where torch runs", choices=("auto", "cpu", "cuda"))
    cache: str = setting("", "folder of image features that several runs may share; empty: inside the run")
    data: DataSettings = field(default_factory=DataSettings)
    caption: CaptionSettings = field(default_factory=CaptionSettings)
    refine: RefineSettings = field(default_factory=RefineSettings)
    adapt: AdaptSettings = field(default_factory=AdaptSettings)
    generate: GenerateSettings = field(default_factory=GenerateSettings)
    curate: CurateSettings = field(default_factory=CurateSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    compare: CompareSettings = field(default_factory=CompareSettings)
    export: ExportSettings = field(default_factory=ExportSettings)

    def phrase(self, label: str) -> str:
        """Return the label in words, as captions and prompts carry it."""
        return self.data.phrases.get(label, label.replace("_", " ").replace("-", " ").lower())

    def contradictions(self) -> list[str]:
        """Return a sentence for every contradiction within a section or between two of them."""
        wrong = [*self.data.contradictions(), *self.caption.contradictions(), *self.refine.contradictions()]
        wrong += [*self.generate.contradictions(), *self.train.contradictions(), *self.export.contradictions()]
        baseline, candidate = self.compare.baseline, self.compare.candidate
        arms = {"compare.baseline": baseline, "compare.candidate": candidate}
        if self.export.arm != PROVEN:
            arms["export.arm"] = self.export.arm
        for key, arm in arms.items():
            if arm not in self.train.arms:
                wrong.append(f"{key} is {arm!r}, expected one of train.arms ({', '.join(self.train.arms)})")
        if baseline == candidate:
            wrong.append("compare.baseline and compare.candidate are the same arm")
        return wrong


SECTIONS = tuple(item.name for item in fields(Settings) if not item.metadata)


def as_json(section: Any) -> dict[str, Any]:
    """Return a settings section as plain JSON values."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(section)))
    return plain


def load_settings(path: Path) -> Settings:
    """Read and check `pipeline.toml`. InputError names the key, the value seen and the values it takes."""
    if path.is_dir():
        path = path / "pipeline.toml"
    content = read_toml(path, f"`rarefault init {path.parent} --data IMAGES` writes one")
    try:
        settings = build(Settings, content, "")
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if wrong := settings.contradictions():
        raise InputError(f"{path}: {'; '.join(wrong)}")
    keys = ("source", "boxes", "feedback")
    source, boxes, feedback = (_place(key, getattr(settings.data, key), path.parent) for key in keys)
    beside = path.absolute().parent / "feedback"
    feedback = feedback or (str(beside) if beside.is_dir() else "")
    return replace(settings, data=replace(settings.data, source=source, boxes=boxes, feedback=feedback))


def _place(key: str, given: str, folder: Path) -> str:
    """Return the path that data.`key` means: a relative one counts from `folder`, that of pipeline.toml.

    Up to version 0.3 it counted from the working folder, and does so still where nothing lies at the new place.
    InputError where things lie at both.
    """
    path = Path(given).expanduser()
    if not given or path.is_absolute() or is_url(given):
        return given
    here, there = folder.resolve() / path, path.absolute()
    if here.exists() and there.exists() and not here.samefile(there):
        raise InputError(
            f"data.{key} is {given}, which counts from the folder of pipeline.toml and is {here}; earlier versions "
            f"counted from the working folder, where {there} lies too: write the whole path of the one that is meant"
        )
    return str(here if here.exists() else there if there.exists() else given)


def write_once(settings: Settings, path: Path, run: str) -> None:
    """Write `settings` of `run`, or keep what is at `path` if it says the same; InputError where it does not.

    A file of 0.1.0, whose preset mini left `refine.meaning` to what is installed, says the same: its run goes on as is.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_settings(settings, path)
        return
    there = load_settings(path)
    if there.refine.meaning == "auto":
        there = replace(there, refine=replace(there.refine, meaning=settings.refine.meaning))
    if there != settings:
        raise InputError(f"{path} is no run of {run}; choose another --out, or remove {path.parent}")


def write_settings(settings: Settings, path: Path) -> None:
    """Write every key with its value and its meaning."""
    replace_file(path, to_toml(settings).encode())


def to_toml(settings: Settings) -> str:
    """Return `settings` as a commented TOML text that `load_settings` reads back to the same value."""
    lines = ["# Settings of one rarefault run. The run's results lie beside this file.", ""]
    lines += _toml_lines(settings)
    for name in SECTIONS:
        lines += ["", f"[{name}]", *_toml_lines(getattr(settings, name))]
    return "\n".join(lines) + "\n"


def _toml_lines(section: Any) -> list[str]:
    lines = []
    for item in fields(section):
        if not item.metadata:
            continue
        choices = f" ({' | '.join(item.metadata['choices'])})" if item.metadata["choices"] else ""
        lines.append(f"{item.name} = {_toml_value(getattr(section, item.name))}  # {item.metadata['meaning']}{choices}")
    return lines


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml_value(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml_value(entry) for entry in value) + "]"
    return json.dumps(value, ensure_ascii=False)  # TOML's basic strings, numbers and booleans are JSON's
