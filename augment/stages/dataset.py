"""Stage 1, dataset: read every image once, find what shows the same thing, and fix the split.

What cannot be used is quarantined with a reason; nothing is dropped in silence.
"""

import base64
import os
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augment.data.duplicates import (
    THUMBNAIL,
    Pairs,
    Thumbnail,
    burst_pairs,
    duplicate_pairs,
    hash_pairs,
    same_value_pairs,
    thumbnail_of,
)
from augment.data.image_store import ImageStore
from augment.data.perceptual_hash import Hashes, perceptual_hash
from augment.data.sources import Candidate, Source, check_source
from augment.data.split import SIDES, TEST, TRAIN, VAL, Member, Shares, assign_sides, settle_groups
from augment.models.image_embedding import Fingerprints
from augment.models.model_folders import pick_device
from augment.progress import progress
from augment.records import Document, Journal, Record, RunFolder, digest_of
from augment.settings import Settings, as_json
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import sha256_file
from edge_runtime.media.image_files import MAX_BYTES, read_image

STAGE = "dataset"
ID_DIGITS = 16  # hex digits of the file's SHA-256
BATCH = 64  # images between two journal entries
LARGE_GROUP = 1 / 3  # of all images; beyond this the split has little left to choose


def run(settings: Settings, folder: RunFolder) -> Document:
    """Write one record per usable image, sorted by id.

    Images that the newest document of `folder` placed with the same settings stay where they are.
    """
    source = check_source(settings)
    digests = _file_digests(source)
    fingerprints = Fingerprints(settings, folder, pick_device(settings.device))
    inputs = {
        "parent": _source_digest(source, digests),
        "settings": _settings_json(settings),
        "models": {"embedder": fingerprints.identity},
    }
    if done := folder.finished(STAGE, **inputs):
        _take_fingerprints(settings, fingerprints, done.records)
        return done
    journal = folder.journal(STAGE, inputs["parent"])
    facts = _read_all(source, digests, journal)
    records, summary = _judge(settings, source, facts, _earlier_sides(folder, inputs["settings"]))
    _take_fingerprints(settings, fingerprints, records)
    document = folder.write(Document(STAGE, records=records, summary=summary, **inputs))
    journal.clear()
    return document


def _take_fingerprints(settings: Settings, fingerprints: Fingerprints, records: Sequence[Record]) -> None:
    """Here, where all images are read: so curation can keep look-alikes of test images out without opening one."""
    store, by_id = ImageStore(settings), {record["id"]: record for record in records}
    fingerprints.of(list(by_id), lambda image: store.frame(by_id[image]))


def told(document: Document) -> str:
    """The stage's result in a line for the terminal."""
    summary = document.summary
    sides = ", ".join(f"{count} {side}" for side, count in summary["splits"].items())
    left_out = ", ".join(f"{len(summary[key])} {key}" for key in ("quarantined", "dropped", "ignored") if summary[key])
    return (
        f"{summary['images']} images of {len(summary['classes'])} classes in {summary['groups']} groups: {sides}; "
        f"{summary['straddling_pairs']} of {summary['perceptual_pairs']} duplicate pairs across the split"
        + (f"; {left_out} (reasons in the document)" if left_out else "")
        + "".join(f"; {hint}" for hint in summary["hints"])
    )


def _settings_json(settings: Settings) -> dict[str, Any]:
    """What the split depends on; which labels are faults and how they are worded does not change it."""
    data = as_json(settings.data)
    return {"seed": settings.seed, **{key: data[key] for key in data if key not in ("faults", "phrases")}}


def _earlier_sides(folder: RunFolder, settings: Mapping[str, Any]) -> dict[str, str]:
    """Where the newest document put each id, if it was made by the same rules; the data may lie elsewhere now."""
    document = folder.latest(STAGE)
    where = ("source", "layout")
    if document is None or any(document.settings.get(key) != settings[key] for key in settings if key not in where):
        return {}
    return {record["id"]: record["split"] for record in document.records}


# Reading


def _file_digests(source: Source) -> list[str]:
    """The SHA-256 of each candidate's bytes, or "" where there is no regular file of a sensible size."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda candidate: _file_digest(source.root / candidate.path), source.candidates))


def _file_digest(path: Path) -> str:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:  # opening a pipe would wait for ever
            return ""
        return sha256_file(path)
    except OSError:
        return ""


def _source_digest(source: Source, digests: Sequence[str]) -> str:
    """Stands for all that the source says and holds, wherever it lies."""
    listed = [[asdict(candidate), digest] for candidate, digest in zip(source.candidates, digests, strict=True)]
    return digest_of([source.layout, listed, source.ignored])


def _read_all(source: Source, digests: Sequence[str], journal: Journal) -> list[Record]:
    """What decoding found out about each candidate, in the source's order; resumes from the journal."""
    known = journal.read()
    jobs = [
        (source.root, candidate.path, digest)
        for candidate, digest in zip(source.candidates, digests, strict=True)
        if candidate.path not in known
    ]
    batches = [jobs[start : start + BATCH] for start in range(0, len(jobs), BATCH)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for batch in progress(batches, len(batches), f"{STAGE}, batches of {BATCH} images"):
            found = list(pool.map(_read_one, batch))
            journal.add(found)
            known |= {fact["id"]: fact for fact in found}
    return [known[candidate.path] for candidate in source.candidates]


def _read_one(job: tuple[Path, str, str]) -> Record:
    """Facts of one file: size, perceptual hash, thumbnail and notes, or the reason why there are none."""
    root, path, digest = job
    try:
        image = read_image(root / path)
    except InputError as error:
        return {"id": path, "reason": str(error)}
    if not digest:
        return {"id": path, "reason": f"{path} changed while it was read; run the stage again"}
    height, width = image.frame.shape[:2]
    return {
        "id": path,
        "sha256": digest,
        "width": width,
        "height": height,
        "phash": f"{perceptual_hash(image.frame):016x}",
        "thumbnail": base64.b64encode(thumbnail_of(image.frame).tobytes()).decode(),
        "notes": list(image.notes),
    }


def _thumbnail(fact: Record) -> Thumbnail:
    return np.frombuffer(base64.b64decode(fact["thumbnail"]), np.uint8).reshape(THUMBNAIL, THUMBNAIL, 3)


# Judging


@dataclass(frozen=True)
class _Image:
    """One readable image: what the source says, what reading found, and where it may stand."""

    candidate: Candidate
    fact: Record
    sides: tuple[str, ...]

    @property
    def id(self) -> str:
        return self.fact["sha256"][:ID_DIGITS]

    @property
    def path(self) -> str:
        return self.candidate.path


def _judge(
    settings: Settings, source: Source, facts: Sequence[Record], earlier: Mapping[str, str]
) -> tuple[list[Record], dict[str, Any]]:
    """The records and the summary, from what the source says and what reading found."""
    readable, quarantined = _readable(source, facts)
    distinct, copies, contradictions = _distinct(readable)
    alike, bursts = _pairs(settings, distinct)
    pairs = np.concatenate([alike, bursts, same_value_pairs([image.candidate.group for image in distinct])])
    members, torn = settle_groups([_member(image, earlier) for image in distinct], pairs)
    section = settings.data
    shares = Shares(section.validation_share, section.test_share, section.folds, section.fold)
    if section.folds and any(member.sides != SIDES for member in members):
        raise InputError(
            "data.folds cuts all images into folds, but the source has lists of its own for training or testing; "
            "set data.folds to 0"
        )
    side_of = assign_sides(members, shares, settings.seed)
    group_of = {member.id: member.group for member in members}
    kept = [image for image in distinct if image.id in group_of]
    records = [_record(image, source.layout, side_of[image.id], group_of[image.id]) for image in kept]
    quarantined |= contradictions
    dropped = copies | {image.path: torn[image.id] for image in distinct if image.id in torn}
    _check_left(source, records, quarantined | dropped)
    return records, {
        "layout": source.layout,
        "images": len(records),
        **_split_summary(records),
        "exact_copies": len(copies),
        "burst_pairs": len(bursts),
        **_duplicate_summary(distinct, alike, side_of, settings.data.duplicate_bits),
        "quarantined": _reasons(quarantined),
        "dropped": _reasons(dropped),
        "ignored": _reasons(dict(source.ignored)),
    }


def _readable(source: Source, facts: Sequence[Record]) -> tuple[list[_Image], dict[str, str]]:
    sides = _sides(source.candidates)
    found = list(zip(source.candidates, facts, sides, strict=True))
    unreadable = {fact["id"]: fact["reason"] for _, fact, _ in found if "reason" in fact}
    return [_Image(*entry) for entry in found if "reason" not in entry[1]], unreadable


def _sides(candidates: Sequence[Candidate]) -> list[tuple[str, ...]]:
    """Where each image may stand: a list of the source is respected, what it leaves open is ours to split.

    Where the source has no validation list, validation images come out of its training list.
    """
    listed = {candidate.sides for candidate in candidates}
    unlisted = tuple(side for side in SIDES if side == TRAIN or (side,) not in listed)
    training = (TRAIN,) if (VAL,) in listed else (TRAIN, VAL)
    meaning = {None: unlisted, (TRAIN,): training}
    return [meaning.get(candidate.sides, candidate.sides or ()) for candidate in candidates]


def _distinct(images: list[_Image]) -> tuple[list[_Image], dict[str, str], dict[str, str]]:
    """One image of each content, sorted by id; why copies go, and why contradicting copies all go."""
    by_content: dict[str, list[_Image]] = {}
    for image in sorted(images, key=lambda image: (image.sides != (TEST,), image.path)):
        by_content.setdefault(image.id, []).append(image)
    distinct, copies, contradictions = [], {}, {}
    for _, same in sorted(by_content.items()):
        labels = sorted({image.candidate.label for image in same})
        if len(labels) > 1:
            paths = ", ".join(image.path for image in same)
            contradictions |= {image.path: f"one picture as {' and as '.join(labels)}: {paths}" for image in same}
            continue
        distinct.append(same[0])
        copies |= {image.path: f"has the same bytes as {same[0].path}" for image in same[1:]}
    return distinct, copies, contradictions


def _pairs(settings: Settings, images: Sequence[_Image]) -> tuple[Pairs, Pairs]:
    """Perceptual duplicates, and shots of one burst."""
    thumbnails = [_thumbnail(image.fact) for image in images]
    alike = duplicate_pairs(_hashes(images), thumbnails, settings.data.duplicate_bits)
    paths = [image.path for image in images]
    bursts = burst_pairs(paths, thumbnails, settings.data.burst_gap, settings.data.burst_similarity)
    # Where the source's own lists part two look-alike shots, the lists know better than consecutive numbers do.
    together = [bool(set(images[first].sides) & set(images[second].sides)) for first, second in bursts]
    return alike, bursts[np.array(together, bool)]


def _hashes(images: Sequence[_Image]) -> Hashes:
    return np.array([int(image.fact["phash"], 16) for image in images], np.uint64)


def _member(image: _Image, earlier: Mapping[str, str]) -> Member:
    before = earlier.get(image.id)
    fixed = image.sides[0] if len(image.sides) == 1 else before if before in image.sides else None
    return Member(image.id, image.candidate.label, image.sides, fixed)


def _record(image: _Image, origin: str, side: str, group: str) -> Record:
    record = {"id": image.id, "path": image.path}
    record |= {key: image.fact[key] for key in ("sha256", "width", "height")}
    record |= {"label": image.candidate.label, "split": side, "group": group, "origin": origin}
    record |= {key: image.fact[key] for key in ("phash", "notes")}
    if image.candidate.boxes:
        record["boxes"] = [list(box) for box in image.candidate.boxes]
    return record


def _check_left(source: Source, records: Sequence[Record], left_out: Mapping[str, str]) -> None:
    """A class that lost all its images would vanish from the labels without a word."""
    lost = sorted(set(source.classes) - {record["label"] for record in records})
    if lost:
        candidate = next(candidate for candidate in source.candidates if candidate.label == lost[0])
        raise InputError(
            f"none of the {source.classes[lost[0]]} images of class {lost[0]} can be used; "
            f"{candidate.path}: {left_out[candidate.path]}; replace them or remove the class"
        )


# Summing up


def _duplicate_summary(images: Sequence[_Image], alike: Pairs, side_of: Mapping[str, str], bits: int) -> dict[str, int]:
    """Pairs among all pairs of images kept, and how many of them stand on two sides of the split.

    Of perceptual duplicates (`alike`) none should. Look-alikes agree in their hash only: different things in one
    layout.
    """
    sides = np.array([side_of.get(image.id, "") for image in images])  # "": left out
    same, close = (_counted(pairs, sides) for pairs in (alike, hash_pairs(_hashes(images), bits)))
    return {
        "perceptual_pairs": same[0],
        "straddling_pairs": same[1],
        "look_alike_pairs": close[0] - same[0],
        "straddling_look_alikes": close[1] - same[1],
    }


def _counted(pairs: Pairs, sides: NDArray[np.str_]) -> tuple[int, int]:
    """How many pairs have both images on some side, and how many of them on two."""
    first, second = sides[pairs[:, 0]], sides[pairs[:, 1]]
    placed = (first != "") & (second != "")
    return int(placed.sum()), int((placed & (first != second)).sum())


def _split_summary(records: Sequence[Record]) -> dict[str, Any]:
    counts = Counter((record["label"], record["split"]) for record in records)
    labels = sorted({record["label"] for record in records})
    sizes = Counter(record["group"] for record in records)
    return {
        "classes": {label: {side: counts[label, side] for side in SIDES} for label in labels},
        "splits": {side: sum(record["split"] == side for record in records) for side in SIDES},
        "groups": len(sizes),
        "largest_group": max(sizes.values()),
        "hints": [*_gaps(labels, counts), *_large_group(max(sizes.values()), len(records))],
    }


def _gaps(labels: Sequence[str], counts: Mapping[tuple[str, str], int]) -> list[str]:
    return [
        f"class {label} has no {side} image: too few groups of distinct images"
        for label in labels
        for side in SIDES
        if not counts[label, side]
    ]


def _large_group(size: int, images: int) -> list[str]:
    if size <= LARGE_GROUP * images:
        return []
    return [
        f"one group holds {size} of {images} images and stands on one side as a whole; if they are not the same thing, "
        "lower data.duplicate_bits or data.burst_gap"
    ]


def _reasons(reasons: Mapping[str, str]) -> list[Record]:
    return [{"path": path, "reason": reason} for path, reason in sorted(reasons.items())]
