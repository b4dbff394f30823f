"""Stage 1, dataset: read every image once, find what shows the same thing, and fix the split.

What cannot be used is quarantined with a reason; nothing is dropped in silence.
"""

import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from augment.data import duplicates
from augment.data.boxes import STICKS_OUT
from augment.data.checks import (
    FoundBoxes,
    Pictured,
    check_boxes,
    check_split,
    size_problem,
    split_hints,
)
from augment.data.duplicates import Thumbnails, packed_thumbnail
from augment.data.feedback import with_feedback
from augment.data.image_store import ImageStore, radiometric_hints, unscaled_hint
from augment.data.layouts.listing import NOT_READ, Candidate, Source, told
from augment.data.offline_copies import MOST_BY_FEATURES
from augment.data.perceptual_hash import Hashes, Near, Pairs, perceptual_hash
from augment.data.problems import Check, Problem, contradiction, refusal
from augment.data.sources import check_source, list_candidates
from augment.data.split import SIDES, TEST, TRAIN, VAL, Member, Shares, assign_sides, settle_groups
from augment.evaluation.leaks import Kin, Seen, find_kin, keep_kin, packed_outline, tell
from augment.evaluation.picture_traits import traits_of
from augment.models.image_embedding import Fingerprints
from augment.models.model_folders import pick_device
from augment.progress import progress
from augment.record_types import DatasetRecord, DatasetSummary, FileFacts, LeftOut, ToldProblem
from augment.records import DATASET, ID_DIGITS, Document, Journal, RunFolder, StageInputs, digest_of
from augment.settings import DataSettings, Settings
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.preprocess import Frame
from edge_runtime.media.image_files import ReadImage
from edge_runtime.media.image_headers import read_header
from edge_runtime.media.radiometric import UnscaledError

BATCH = 64  # images between two journal entries
LARGE_GROUP = 1 / 3  # of all images; beyond this the split has little left to choose
# Settings that change nothing of the document.
UNUSED = (
    "source",
    "store_cache",
    "store_gib",
    "boxes",
    "feedback",
    "faults",
    "phrases",
    "groups",
    "kinds",
    "most_problems",
)
# Settings by which images come and go, or their boxes; an image that stays keeps its side.
MOVES_NOTHING = ("layout", "levels", "box_units", "least_side", "most_aspect")
DatasetDocument = Document[DatasetRecord, DatasetSummary]
# What reads a file, what says where it lies (and may have to fetch it), its path in the source, its digest.
# And whether its outline is wanted: among more than MOST_BY_FEATURES pictures few are, and are read again.
Job = tuple[Callable[[Path], ReadImage], Callable[[], Path], str, str, bool]


def run(
    settings: Settings, folder: RunFolder, read: Callable[[Path], ReadImage] | None = None, batch: int = BATCH
) -> DatasetDocument:
    """Write one record per usable image, sorted by id; `read` opens a file, `batch` images go into one journal entry.

    Images that the newest document of `folder` placed with the same settings stay where they are. Raises InputError
    that tells all problems at once, where they do not let a run go on.
    """
    source = with_feedback(check_source(settings), settings.data.feedback)
    digests = source.digests()
    fingerprints = Fingerprints(settings, folder, pick_device(settings.device))
    parent = _source_digest(source, digests, settings.data.radiometric)
    models = {"embedder": fingerprints.identity}
    inputs = StageInputs.of(parent, settings.data, {"seed": settings.seed}, models, leaving_out=UNUSED)
    if done := folder.finished(DATASET, inputs):
        _take_fingerprints(settings, fingerprints, done.records)
        return done
    journal = folder.journal(DATASET, FileFacts, inputs.parent)
    facts = _read_all(source, digests, journal, read or ImageStore(settings).read, batch)
    records, summary, checks = _sort_out(settings, source, facts, _earlier_sides(folder, inputs))
    if wrong := refusal(checks, settings.data.most_problems):
        raise InputError(wrong)
    _take_fingerprints(settings, fingerprints, records)
    return folder.write(Document(DATASET, inputs, records, summary))


@dataclass(frozen=True)
class Examined:
    """What the stage finds in a data set, without a run: records, summary, and the checks that may stop a run."""

    records: Sequence[DatasetRecord]
    summary: DatasetSummary
    checks: Sequence[Check]


def examine(settings: Settings, read: Callable[[Path], ReadImage] | None = None) -> Examined:
    """Do what the stage does, writing nothing and going on past every problem that leaves something to look at.

    Raises InputError where there is no source, or no image in it.
    """
    source = list_candidates(settings.data)
    if not source.candidates:
        check_source(settings)
    jobs = _jobs(source, source.digests(), read or ImageStore(settings).read)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        facts = list(progress(pool.map(_read_one, jobs), len(jobs), "images read"))
    records, summary, checks = _sort_out(settings, source, facts, {})
    return Examined(records, summary, checks)


def _take_fingerprints(settings: Settings, fingerprints: Fingerprints, records: Sequence[DatasetRecord]) -> None:
    """Store what images are compared by, so that curation need not open a test image to keep look-alikes of it out."""
    store, by_id = ImageStore(settings), {record.id: record for record in records}
    fingerprints.take(list(by_id), lambda image: store.frame(by_id[image]))


def summary_line(document: DatasetDocument) -> str:
    """Say in one line what the stage found."""
    summary = document.summary
    sides = ", ".join(f"{count} {side}" for side, count in summary.splits.items())
    kinds = {"quarantined": summary.quarantined, "dropped": summary.dropped, "ignored": summary.ignored}
    left_out = ", ".join(f"{len(files)} {kind}" for kind, files in kinds.items() if files)
    unread = f"{len(summary.unread)} files {NOT_READ} (see below); " if summary.unread else ""
    return (
        f"{unread}{summary.images} images of {len(summary.classes)} classes in {summary.groups} groups: {sides}; "
        f"{summary.straddling_pairs} of {summary.perceptual_pairs} duplicate pairs across the split"
        + (f"; {left_out} (reasons in the document)" if left_out else "")
        + "".join(f"; {hint}" for hint in summary.hints)
    )


def _earlier_sides(folder: RunFolder, inputs: StageInputs) -> dict[str, str]:
    """Return where the newest document put each id, if it was made by the same rules; the data may have moved since."""
    if (document := folder.latest(DATASET)) is None:
        return {}
    before = inputs.settings_of(document.inputs)
    rules = [key for key in inputs.settings if key not in MOVES_NOTHING]
    same = all(before.get(key) == inputs.settings[key] for key in rules)
    return {record.id: record.split for record in document.records} if same else {}


# Reading


def _source_digest(source: Source, digests: Sequence[str], radiometric: str) -> str:
    """Return a digest of all that the source says and holds, wherever it lies, and of how its files are read."""
    listed = [[_stated(candidate), digest] for candidate, digest in zip(source.candidates, digests, strict=True)]
    return digest_of([source.layout, listed, source.ignored, *([radiometric] if radiometric else [])])


def _stated(candidate: Candidate) -> dict[str, object]:
    """Return what the source says of a candidate, as JSON; its path says where it comes from."""
    content = asdict(candidate) | {"boxes": [box.stated() for box in candidate.boxes or ()]}
    del content["origin"]
    return content


def _read_all(
    source: Source, digests: Sequence[str], journal: Journal[FileFacts], read: Callable[[Path], ReadImage], batch: int
) -> list[FileFacts]:
    """Return what decoding found out about each candidate, in the source's order; resumes from the journal."""
    known = journal.read()
    jobs = [job for job in _jobs(source, digests, read) if job[2] not in known]
    batches = [jobs[start : start + batch] for start in range(0, len(jobs), batch)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for part in progress(batches, len(batches), f"dataset, batches of {batch} images"):
            found = list(pool.map(_read_one, part))
            journal.add(found)
            known |= {facts.id: facts for facts in found}
    return [known[candidate.path] for candidate in source.candidates]


def _jobs(source: Source, digests: Sequence[str], read: Callable[[Path], ReadImage]) -> list[Job]:
    outlined = len(source.candidates) <= MOST_BY_FEATURES
    return [
        (read, partial(source.file, candidate), candidate.path, digest, outlined)
        for candidate, digest in zip(source.candidates, digests, strict=True)
    ]


def _read_one(job: Job) -> FileFacts:
    """Read one file: its size, perceptual hash, thumbnail and notes, or the reason why there are none."""
    read, find, path, digest, outlined = job
    try:
        file = find()
        image = read(file)
    except InputError as error:
        cause = error.__cause__
        return FileFacts(id=path, reason=str(error), span=cause.span if isinstance(cause, UnscaledError) else ())
    if not digest:
        return FileFacts(id=path, reason=f"{path} changed while it was read; run the stage again")
    height, width = image.frame.shape[:2]
    return FileFacts(
        id=path,
        sha256=digest,
        width=width,
        height=height,
        phash=f"{perceptual_hash(image.frame):016x}",
        thumbnail=packed_thumbnail(image.frame),
        notes=list(image.notes),
        span=image.span or (),
        outline=packed_outline(image.frame) if outlined else "",
        traits=traits_of(file, image.frame),
    )


# Sorting out


@dataclass(frozen=True)
class _Image:
    """One readable image: what the source says, what reading found, and where it may stand."""

    candidate: Candidate
    facts: FileFacts
    sides: tuple[str, ...]

    @property
    def id(self) -> str:
        return self.facts.sha256[:ID_DIGITS]

    @property
    def path(self) -> str:
        return self.candidate.path


def _sort_out(
    settings: Settings, source: Source, facts: Sequence[FileFacts], earlier: Mapping[str, str]
) -> tuple[list[DatasetRecord], DatasetSummary, list[Check]]:
    """Make the records and the summary from what the source says and what reading found, and check them."""
    readable, quarantined = _readable(source, facts, settings.data)
    distinct, copies, contradictions = _distinct(readable)
    distinct, kin, by_picture = _without_contradictions(settings, source, distinct)
    quarantined |= contradictions | by_picture
    boxes = _boxes(source, distinct, settings.data.box_units)
    bursts = _bursts(settings.data, distinct)
    stated = duplicates.same_value_pairs([image.candidate.group for image in distinct])
    pairs = [kin.alike, bursts, kin.copies, kin.chosen, stated, _block_pairs(settings.data, distinct)]
    members, torn = settle_groups([_member(image, earlier) for image in distinct], np.concatenate(pairs))
    own = [image for image in distinct if not image.candidate.origin]
    shares, listed = _shares(settings.data, any(image.sides != SIDES for image in own))
    side_of = assign_sides(members, shares, settings.seed)
    group_of = {member.id: member.group for member in members}
    kept = [image for image in distinct if image.id in group_of]
    records = [_record(image, source.layout, side_of[image.id], group_of[image.id], boxes) for image in kept]
    dropped = copies | {image.path: torn[image.id] for image in distinct if image.id in torn}
    sides = [side_of.get(image.id, "") for image in distinct]  # "": left out
    wrong = [*source.problems, *boxes.check.problems]
    summary = replace(
        _summary_of(source, records),
        hints=[
            *told(source),
            *radiometric_hints(facts, settings.data.radiometric_rule),
            *_hints(records, kept, boxes, settings.data),
        ],
        exact_copies=len(copies),
        burst_pairs=len(bursts),
        quarantined=_reasons(quarantined),
        dropped=_reasons(dropped),
        problems=[ToldProblem(where=_below(source.root, problem), sentence=problem.sentence) for problem in wrong],
    )
    groups = [group_of.get(image.id, "") for image in distinct]
    near = duplicates.near_hashes(_hashes(distinct), settings.data.duplicate_bits)
    summary = _with_pairs(summary, kin.alike, near.pairs, sides)
    summary = replace(summary, hints=[*summary.hints, *_crowd(distinct, near)])
    summary = tell(summary, _seen(distinct), kin, groups, sides, settings.data, settings.seed)
    lost = _lost(source, records, quarantined | dropped)
    files = _files(source, quarantined, unscaled_hint(facts, settings.data.radiometric_rule))
    return records, summary, [*listed, lost, files, boxes.check, check_split(summary.classes)]


def _summary_of(source: Source, records: Sequence[DatasetRecord]) -> DatasetSummary:
    """Count the records; what was left out, and why, is added by who knows it."""
    groups = Counter(record.group for record in records)
    return DatasetSummary(
        layout=source.layout,
        images=len(records),
        classes=_side_counts(records),
        splits={side: sum(record.split == side for record in records) for side in SIDES},
        groups=len(groups),
        largest_group=max(groups.values(), default=0),
        hints=(),
        exact_copies=0,
        burst_pairs=0,
        perceptual_pairs=0,
        straddling_pairs=0,
        look_alike_pairs=0,
        straddling_look_alikes=0,
        quarantined=(),
        dropped=(),
        ignored=_reasons(dict(source.ignored + source.passed_over)),
        unread=_reasons(dict(source.unread)),
    )


def _files(source: Source, quarantined: Mapping[str, str], advice: str) -> Check:
    """Check how many of the files that the source names can be used; `advice` is for those that nothing scales."""
    left_out = [Problem(path, reason) for path, reason in sorted(quarantined.items())]
    return Check("files", len(source.candidates) + len(source.problems), [*source.problems, *left_out], advice)


def _below(root: Path, problem: Problem) -> str:
    """Return where a problem is without the path of the source's root: the document is the same wherever it lies."""
    return problem.where.replace(f"{root}/", "", 1)


def _shares(section: DataSettings, listed: bool) -> tuple[Shares, list[Check]]:
    """Return how the images are dealt, and a check that fails where lists of the source (`listed`) forbid folds."""
    if section.folds and listed:
        wrong = Problem(
            "",
            "data.folds cuts all images into folds, but the source has lists of its own for training or testing; "
            "set data.folds to 0",
            fatal=True,
        )
        return Shares(section.validation_share, section.test_share), [Check("settings", 1, [wrong])]
    return Shares(section.validation_share, section.test_share, section.folds, section.fold), []


def _readable(source: Source, facts: Sequence[FileFacts], section: DataSettings) -> tuple[list[_Image], dict[str, str]]:
    found = list(zip(source.candidates, facts, _sides(source.candidates), strict=True))
    unusable = {
        facts.id: reason
        for _, facts, _ in found
        if (reason := facts.reason or size_problem(facts.width, facts.height, section))
    }
    return [_Image(*entry) for entry in found if entry[1].id not in unusable], unusable


def _sides(candidates: Sequence[Candidate]) -> list[tuple[str, ...]]:
    """Return where each image may stand: a list of the source is respected, what it leaves open is ours to split.

    Where the source has no validation list, validation images come out of its training list. What did not come with
    the source is for training: the test set stays what it is.
    """
    listed = {candidate.sides for candidate in candidates if not candidate.origin}
    unlisted = tuple(side for side in SIDES if side == TRAIN or (side,) not in listed)
    training = (TRAIN,) if (VAL,) in listed else (TRAIN, VAL)
    meaning: dict[tuple[str, ...] | None, tuple[str, ...]] = {None: unlisted, (TRAIN,): training}
    return [
        (TRAIN,) if candidate.origin else meaning.get(candidate.sides, candidate.sides or ())
        for candidate in candidates
    ]


def _distinct(images: list[_Image]) -> tuple[list[_Image], dict[str, str], dict[str, str]]:
    """Return one image of each content, sorted by id; why copies go, and why contradicting copies all go."""
    by_content: dict[str, list[_Image]] = {}
    for image in sorted(images, key=lambda image: (image.sides != (TEST,), image.path)):
        by_content.setdefault(image.id, []).append(image)
    distinct: list[_Image] = []
    copies: dict[str, str] = {}
    contradictions: dict[str, str] = {}
    for _, same in sorted(by_content.items()):
        labels = sorted({image.candidate.label for image in same})
        if len(labels) > 1:
            reason = contradiction(labels, [image.path for image in same])
            contradictions |= {image.path: reason for image in same}
            continue
        distinct.append(same[0])
        copies |= {image.path: f"has the same bytes as {same[0].path}" for image in same[1:]}
    return distinct, copies, contradictions


def _without_contradictions(
    settings: Settings, source: Source, images: list[_Image]
) -> tuple[list[_Image], Kin, dict[str, str]]:
    """Return the images that are not under two labels for sure, what belongs together, and why the others go."""
    section, store, seen = settings.data, ImageStore(settings), _seen(images)
    alike = duplicates.duplicate_pairs(_hashes(images), _thumbnails(images), section.duplicate_bits)

    def opened(at: int) -> Frame:
        return store.read(source.file(images[at].candidate)).frame

    # Outlines are kept for all files or none; of very many files, few of which can be used, all are read again.
    without = len(source.candidates) > MOST_BY_FEATURES
    kin = find_kin(seen, alike, section, opened if without else None)
    left = [at for at in range(len(images)) if at not in kin.contradictions]
    reasons = {images[at].path: reason for at, reason in kin.contradictions.items()}
    return [images[at] for at in left], keep_kin(kin, left), reasons


def _seen(images: Sequence[_Image]) -> list[Seen]:
    return [
        Seen(
            image.path,
            image.candidate.label,
            image.facts.thumbnail,
            image.facts.outline,
            dict(image.facts.traits or {}),
        )
        for image in images
    ]


def _thumbnails(images: Sequence[_Image]) -> Thumbnails:
    return Thumbnails([image.facts.thumbnail for image in images])


def _bursts(section: DataSettings, images: Sequence[_Image]) -> Pairs:
    """Find shots of one burst."""
    paths = [image.path for image in images]
    bursts = duplicates.burst_pairs(paths, _thumbnails(images), section.burst_gap, section.burst_similarity)
    # Where the source's own lists part two look-alike shots, the lists know better than consecutive numbers do.
    together = [bool(set(images[first].sides) & set(images[second].sides)) for first, second in bursts]
    kept: Pairs = bursts[np.array(together, bool)]
    return kept


def _block_pairs(section: DataSettings, images: Sequence[_Image]) -> Pairs:
    """Chain the files of each block of numbers that may stand on the same sides; lists of the source part others."""
    if not section.blocks:
        return duplicates.same_value_pairs([])
    labels = {image.candidate.label for image in images}
    blocks = duplicates.blocks_of([image.path for image in images], labels, section.blocks)
    return duplicates.same_value_pairs(
        [block and (block, image.sides) for block, image in zip(blocks, images, strict=True)]
    )


def _boxes(source: Source, images: Sequence[_Image], units: str) -> FoundBoxes:
    by_id = {image.id: image for image in images}

    def turned(image: str) -> bool:
        """Whether the file stores the picture on its side."""
        header = read_header(source.file(by_id[image].candidate).read_bytes())
        return (header.width, header.height) == (by_id[image].facts.height, by_id[image].facts.width)

    pictures = [
        Pictured(image.id, image.candidate.label, image.facts.width, image.facts.height, image.candidate.boxes or ())
        for image in images
    ]
    return check_boxes(pictures, source.classes, units, turned)


def _hashes(images: Sequence[_Image]) -> Hashes:
    return np.array([int(image.facts.phash, 16) for image in images], np.uint64)


def _member(image: _Image, earlier: Mapping[str, str]) -> Member:
    before = earlier.get(image.id)
    listed = len(image.sides) == 1 and not image.candidate.origin
    fixed = image.sides[0] if listed else before if before in image.sides else None
    return Member(image.id, image.candidate.label, image.sides, fixed)


def _record(image: _Image, origin: str, side: str, group: str, boxes: FoundBoxes) -> DatasetRecord:
    return DatasetRecord(
        id=image.id,
        path=image.path,
        sha256=image.facts.sha256,
        width=image.facts.width,
        height=image.facts.height,
        label=image.candidate.label,
        split=side,
        group=group,
        origin=image.candidate.origin or origin,
        phash=image.facts.phash,
        notes=[*image.facts.notes, *boxes.notes[image.id]],
        boxes=boxes.boxes[image.id] or (),
    )


def _lost(source: Source, records: Sequence[DatasetRecord], left_out: Mapping[str, str]) -> Check:
    """Check that no class lost all its images: it would vanish from the labels without a word."""
    lost = sorted(set(source.classes) - {record.label for record in records})
    firsts = [next(found for found in source.candidates if found.label == label) for label in lost]
    problems = [
        Problem(
            "",
            f"none of the {source.classes[first.label]} images of class {first.label} can be used; "
            f"{first.path}: {left_out[first.path]}; replace them or remove the class",
            fatal=True,
        )
        for first in firsts
    ]
    return Check("classes", len(source.classes), problems)


# Summing up


def _with_pairs(summary: DatasetSummary, alike: Pairs, near: Pairs, sides: Sequence[str]) -> DatasetSummary:
    """Count duplicates, of which none should stand on two sides, and look-alikes: different things in one layout."""
    same, straddling = _counted(alike, np.array(sides))
    close, far_apart = _counted(near, np.array(sides))
    return replace(
        summary,
        perceptual_pairs=same,
        straddling_pairs=straddling,
        look_alike_pairs=close - same,
        straddling_look_alikes=far_apart - straddling,
    )


def _crowd(images: Sequence[_Image], near: Near) -> list[str]:
    """Say which pictures were compared with the nearest alone, since very many look like them."""
    if not len(near.crowded):
        return []
    first = images[int(near.crowded[0])].path
    return [
        f"{len(near.crowded)} pictures look like very many others (first {first}): each was compared with the nearest "
        "of them alone, so there are more look-alikes than are counted; is it one camera's view that never changes?"
    ]


def _counted(pairs: Pairs, sides: NDArray[np.str_]) -> tuple[int, int]:
    """Count how many pairs have both images on some side, and how many of them on two."""
    first, second = sides[pairs[:, 0]], sides[pairs[:, 1]]
    placed = (first != "") & (second != "")
    return int(placed.sum()), int((placed & (first != second)).sum())


def _hints(
    records: Sequence[DatasetRecord], images: Sequence[_Image], boxes: FoundBoxes, section: DataSettings
) -> list[str]:
    """Say what a person may want to change before training."""
    groups = Counter(record.group for record in records)
    pairs = {(record.label, record.group) for record in records}
    counts = _side_counts(records)
    gaps = split_hints(section, counts, Counter(label for label, _ in pairs))
    large = _large_group(max(groups.values(), default=0), len(records))
    return [*gaps, *large, *_box_hints(records, images, boxes, section.faults)]


def _side_counts(records: Sequence[DatasetRecord]) -> dict[str, dict[str, int]]:
    """Count images by label and side."""
    counts = Counter((record.label, record.split) for record in records)
    return {label: {side: counts[label, side] for side in SIDES} for label in sorted({label for label, _ in counts})}


def _large_group(size: int, images: int) -> list[str]:
    if size <= max(LARGE_GROUP * images, 1):
        return []
    return [
        f"one group holds {size} of {images} images and stands on one side as a whole; if they are not the same thing, "
        "lower data.duplicate_bits or data.burst_gap"
    ]


def _box_hints(
    records: Sequence[DatasetRecord], images: Sequence[_Image], boxes: FoundBoxes, faults: Collection[str]
) -> list[str]:
    """Tell boxes where nothing should be wrong, and faults that lack them although others have them."""
    healthy = [image.path for image in images if faults and image.candidate.label not in faults and _boxes_else(image)]
    cut = [record.path for record in records if any(STICKS_OUT in note for note in record.notes)]
    empty = [image.path for image in images if image.candidate.boxes == () and image.candidate.label in faults]
    stated, whole_ids = set(empty), set(boxes.whole)
    faulty = [record for record in records if record.label in faults and record.path not in stated]
    bare = [record.path for record in faulty if not record.boxes]
    whole = [image.path for image in images if image.id in whole_ids]
    hints = {
        "with a label that is no fault have boxes, which count for nothing; is the label right?": healthy,
        "have boxes that stick out and are cut; are these x, y, width and height?": cut,
        "have a box around the whole picture, which does not say where the fault is": whole,
        "of a fault have a file of boxes without one; is the label right?": empty,
        "of a fault have no boxes: they teach which images show it, and not where": bare
        if len(bare) < len(faulty)
        else [],
    }
    told = (
        [f"{len(wrong)} boxes cannot be those of their images and are left out"]
        if (wrong := boxes.check.problems)
        else []
    )
    return told + [f"{len(paths)} images {words} (first {paths[0]})" for words, paths in hints.items() if paths]


def _boxes_else(image: _Image) -> bool:
    """Whether the image has a box that may be around something else than what its label says."""
    return any(box.name != image.candidate.label for box in image.candidate.boxes or ())


def _reasons(reasons: Mapping[str, str]) -> list[LeftOut]:
    return [LeftOut(path=path, reason=reason) for path, reason in sorted(reasons.items())]
