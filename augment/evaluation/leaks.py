"""What makes test figures mean nothing: copies of one picture, a picture under two labels, assets on both sides.

`find_kin` says before the split which pictures belong together or contradict each other, `tell` after it what a person
should know. A contradiction is sure where nothing but saving parts two pictures (`offline_copies.no_difference`): both
are left out, like byte copies. Where they are alike and no more, as the same pole with and without a fault is, the pair
is only told.
"""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from augment.data.duplicates import Thumbnails, same_value_pairs
from augment.data.group_patterns import DATE, copy_stems, effect, named_groups, proposals
from augment.data.offline_copies import (
    MOST_BY_FEATURES,
    MOST_PROVEN,
    SIDE,
    Copy,
    Outline,
    copies_among,
    feature_copies,
    outline_of,
    turned_pairs,
)
from augment.data.perceptual_hash import Pairs
from augment.data.problems import contradiction
from augment.evaluation.picture_traits import Traits
from augment.evaluation.shortcut_audit import CONTAINER, audit
from augment.record_types import DatasetSummary
from augment.settings import DataSettings
from edge_runtime.bundle.preprocess import Frame
from edge_runtime.media.image_files import decode_image
from edge_runtime.media.jpeg import encode_jpeg

EXIF_GROUPS = {"day": "day", "camera": "serial", "place": "place"}  # value of data.group_exif -> trait
OUTLINE_QUALITY = 90  # of a JPEG
NAMES, PICTURES = "names", "pictures"  # values of data.copies


@dataclass(frozen=True)
class Seen:
    """One picture as leaks are looked for in it, with what `packed_thumbnail` and `packed_outline` give of it."""

    path: str
    label: str
    thumbnail: str
    outline: str
    traits: Traits


@dataclass(frozen=True)
class Kin:
    """Which of N pictures belong together.

    `alike` are perceptual duplicates, `copies` were made from one another, `chosen` is what settings group.
    `contradictions` name pictures that are under two labels for sure, each with the reason; `doubtful` pairs may be.
    """

    alike: Pairs
    copies: Pairs
    chosen: Pairs
    contradictions: Mapping[int, str]
    doubtful: Pairs
    hints: Sequence[str]


def keep_kin(kin: Kin, left: Sequence[int]) -> Kin:
    """Return what is known of the pictures at the positions `left`, counted anew from 0."""
    place = {at: new for new, at in enumerate(left)}

    def counted(pairs: Pairs) -> Pairs:
        kept = [(place[first], place[second]) for first, second in pairs.tolist() if {first, second} <= place.keys()]
        return np.array(kept, np.int64).reshape(-1, 2)

    alike, copies, chosen = counted(kin.alike), counted(kin.copies), counted(kin.chosen)
    return replace(kin, alike=alike, copies=copies, chosen=chosen, doubtful=counted(kin.doubtful))


def packed_outline(frame: Frame) -> str:
    """Return the outline of a picture as base64 of a JPEG, small enough for a journal."""
    return base64.b64encode(encode_jpeg(outline_of(frame), OUTLINE_QUALITY)).decode()


def _outline(packed: str) -> Outline:
    if not packed:  # read by an earlier version, before a kill
        return np.zeros((SIDE, SIDE), np.uint8)
    return decode_image(base64.b64decode(packed)).frame[..., 0]


def find_kin(
    seen: Sequence[Seen], alike: Pairs, section: DataSettings, opened: Callable[[int], Frame] | None = None
) -> Kin:
    """Find what belongs together, by names, pictures and settings; `alike` are the perceptual duplicates.

    Where `opened` is given, it gives a picture by its position to be looked at again, instead of its outline.
    """
    paths, labels = [one.path for one in seen], [one.label for one in seen]
    hints, pairs, sure = [], [same_value_pairs([])], []
    if section.copies in (NAMES, PICTURES):
        stems = copy_stems(paths, labels)
        pairs.append(same_value_pairs(stems.keys))
        hints += [
            f"{count} files are called {stem!r} beside a tool's marks, too many or too plain a name for copies of one "
            "picture; if they are, set data.group_pattern"
            for stem, count in sorted(stems.doubted.items())
        ]
    if section.copies == PICTURES:
        turned = turned_pairs(Thumbnails([one.thumbnail for one in seen]), section.duplicate_bits)
        copies, told_copies = _by_features(seen, np.concatenate([alike, turned]), opened)
        hints += told_copies
        pairs += [np.array([(copy.first, copy.second) for copy in copies], np.int64).reshape(-1, 2), turned]
        sure = [(copy.first, copy.second) for copy in copies if copy.same]
    pictured = np.concatenate([alike, *pairs[2:]])
    reasons = _contradictions(seen, sure)
    torn = [(a, b) for a, b in np.unique(pictured, axis=0).tolist() if labels[a] != labels[b]]
    doubtful = [pair for pair in torn if not set(pair) & set(reasons)]
    chosen, told = _chosen(seen, section)
    return Kin(
        alike,
        np.unique(np.concatenate(pairs), axis=0),
        chosen,
        reasons,
        np.array(doubtful, np.int64).reshape(-1, 2),
        hints + told,
    )


def _by_features(
    seen: Sequence[Seen], alike: Pairs, opened: Callable[[int], Frame] | None
) -> tuple[list[Copy], list[str]]:
    """Return the copies by local features, and what was not looked for among very many pictures.

    Pairs of `alike` pictures are joined already; among very many only those under two labels are looked at, since both
    pictures go where nothing but saving parts them.
    """

    def outline(at: int) -> Outline:
        return outline_of(opened(at)) if opened else _outline(seen[at].outline)

    if len(seen) <= MOST_BY_FEATURES:
        return feature_copies([outline(at) for at in range(len(seen))]), []
    torn = [(a, b) for a, b in np.unique(alike, axis=0).tolist() if seen[a].label != seen[b].label]
    hint = (
        f"{len(seen)} pictures are more than the {MOST_BY_FEATURES} among which copies are looked for by local "
        "features: those that were cropped or turned by a few degrees are found by their names alone; where there are "
        "such copies, set data.group_pattern"
        + (f"; of {len(torn)} pairs under two labels {MOST_PROVEN} were compared closely" * (len(torn) > MOST_PROVEN))
    )
    return copies_among(np.array(torn, np.int64).reshape(-1, 2), len(seen), outline), [hint]


def _contradictions(seen: Sequence[Seen], sure: Sequence[tuple[int, int]]) -> dict[int, str]:
    """Return the reason for each picture that is, for sure, also there under another label."""
    partners: dict[int, set[int]] = {}
    for first, second in sure:
        if seen[first].label != seen[second].label:
            partners.setdefault(first, {first}).add(second)
            partners.setdefault(second, {second}).add(first)
    reasons = {}
    for at, same in partners.items():
        told = contradiction([seen[one].label for one in same], sorted(seen[one].path for one in same))
        reasons[at] = f"{told} (saved anew, and no difference beyond that)"
    return reasons


def _chosen(seen: Sequence[Seen], section: DataSettings) -> tuple[Pairs, list[str]]:
    """Return the pairs that data.group_pattern and data.group_exif make, and what these do."""
    paths = [one.path for one in seen]
    pairs, told = [same_value_pairs([])], []
    if section.group_pattern:
        groups = named_groups(section.group_pattern, paths)
        pairs.append(same_value_pairs(groups))
        told.append(effect(groups, paths, "data.group_pattern"))
    if section.group_exif:
        values = _exif(seen, section.group_exif)
        pairs.append(same_value_pairs(values))
        told.append(effect(values, paths, f'data.group_exif = "{section.group_exif}"'))
    return np.concatenate(pairs), told if paths else []


def _exif(seen: Sequence[Seen], what: str) -> list[str | None]:
    return [str(one.traits.get(EXIF_GROUPS[what], "")) or None for one in seen]


def tell(
    summary: DatasetSummary,
    seen: Sequence[Seen],
    kin: Kin,
    groups: Sequence[str],
    sides: Sequence[str],
    data: DataSettings,
    seed: int,
) -> DatasetSummary:
    """Add to the summary what leaks and what tells the classes without the fault.

    `groups` and `sides` of the split are those of `seen`, "" where a picture was left out.
    """
    torn = [(first, second) for first, second in kin.copies.tolist() if "" not in (sides[first], sides[second])]
    doubtful = [
        f"{seen[first].path} ({seen[first].label}) and {seen[second].path} ({seen[second].label})"
        for first, second in kin.doubtful
    ]
    paths, labels = [one.path for one in seen], [one.label for one in seen]
    exif = {what: [value or "" for value in _exif(seen, what)] for what in EXIF_GROUPS}
    proposed = [] if data.group_pattern or data.group_exif else proposals(paths, labels, exif)
    told = [proposal.sentence(sides) for proposal in proposed]
    placed = [at for at, group in enumerate(groups) if group]
    shortcuts = audit(
        [_with_name(seen[at]) for at in placed], [labels[at] for at in placed], [groups[at] for at in placed], seed
    )
    hints = [*kin.hints, *told, *(f"shortcut: {found.sentence}" for found in shortcuts if found.kind == CONTAINER)]
    if doubtful:
        hints.append(
            f"{len(doubtful)} pairs of pictures look the same under two labels, and are kept since a small difference "
            f"may be the fault: look at them (first {doubtful[0]})"
        )
    return replace(
        summary,
        hints=[*summary.hints, *hints],
        copy_pairs=len(torn),
        straddling_copies=sum(sides[first] != sides[second] for first, second in torn),
        contradictions=doubtful,
        proposals=told,
        shortcuts=shortcuts,
    )


def _with_name(one: Seen) -> Traits:
    """Return the traits of a picture, with what its path says of its visit: a date, and folders but for its class."""
    date = re.search(DATE, one.path)
    inner = [part for part in one.path.split("/")[:-1] if part != one.label]
    return {**one.traits, "date in the name": date[1] if date else "", "folder": "/".join(inner)}
