"""What names and EXIF say about where a picture comes from: its source file, its asset, its visit, its camera.

A file name that a tool has marked (a hash of an export, `_flip`, `copy`) names the picture that it was made from; such
pictures are joined. Assets and visits are only proposed, since nobody but the user knows what a number in a name means.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from edge_runtime.bundle.errors import InputError
from edge_runtime.text_files import normal

MOST_COPIES = 64  # files; more under one stem are a series of pictures and not the copies of one
MOST_OF_A_WORD = 12  # files under a stem without a number, which may be any picture's name ("image")
LEAST_COVERED = 0.8  # of the images; a pattern that fits fewer is no custom of whoever named them
LEAST_GROUPS = 3  # one for each side of the split
LEAST_IN_A_GROUP = 3  # images on average; below it a "group" is nearly the picture itself
LARGEST_SHARE = 0.5  # of the images in one group; beyond it nothing is left to split

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_HEX = r"(?=[0-9a-f]*[a-f][0-9a-f]*\d|[0-9a-f]*\d[0-9a-f]*[a-f])[0-9a-f]{8,64}"  # letters and digits both
_HASH = rf"(?:{_UUID}|{_HEX})"
_DONE = (  # what was done to a picture
    "aug|augment|augmented|augmentation|flip|flipped|hflip|vflip|fliplr|flipud|mirror|mirrored|rot|rotate|rotated|"
    "rotation|turn|turned|crop|cropped|zoom|zoomed|shift|shifted|shear|sheared|translate|translated|scale|scaled|"
    "resize|resized|noise|noisy|blur|blurred|gauss|gaussian|bright|brightness|brighter|dark|darker|contrast|gamma|"
    "exposure|hue|saturation|grey|gray|greyscale|grayscale|jpeg|compressed|sharpen|sharpened|cutout|clahe|equalized|"
    "copy|kopie|copie|copia|duplicate|dup"
)
_HOW = (  # and how
    r"(?:[ _.-]*(?:h|v|x|y|lr|ud|left|right|cw|ccw|horizontal|horizontally|vertical|vertically|deg|"
    r"\(?\d+(?:\.\d+)?\)?))*"
)
_EXPORT = re.compile(r"(?:[_.-](?:jpe?g|png|bmp|tiff?|webp|heic))?\.rf\.[0-9a-z]{8,}$")  # Roboflow
# What tools and file managers add to a name, each a pattern whose match is cut off.
_MARKS = (
    _EXPORT,
    re.compile(rf"[ _.-]+{_HASH}$"),  # Augmentor, and many scripts
    re.compile(rf"^{_HASH}[_-]+"),  # Label Studio
    re.compile(rf"[ _.-]+(?:{_DONE}){_HOW}$"),
    re.compile(r"^(?:copy of|kopie von|copie de|copia de|copia di) "),
    re.compile(r"^.*_original_(?=.)"),  # Augmentor puts the class before it
    re.compile(r"\.(?:jpe?g|png|bmp|tiff?|webp|heic)$"),
)
# These are marks only where the name without them is there too, and has a number: "pump (2)" may be the second pump.
_WEAK = (re.compile(r" ?\(\d{1,3}\)$"), re.compile(r"[_-]\d{1,3}$"), re.compile(r"_\d{1,4}_\d{1,7}$"))
# Folders that say how files were dealt out or made, and not where they come from.
_NEUTRAL = frozenset(
    (
        *("train", "training", "val", "valid", "validation", "test", "testing", "images", "image", "img"),
        *("aug", "augmented", "augmentation", "augmentations", "original", "originals", "orig", "copies"),
    )
)


@dataclass(frozen=True)
class Stems:
    """The source that the name of each file points to (None: no other file has it), and the stems that were doubted."""

    keys: tuple[str | None, ...]
    doubted: Mapping[str, int]  # stem -> files


def copy_stems(paths: Sequence[str], labels: Collection[str]) -> Stems:
    """Return which files are copies of one source by their names, all of them paths relative to the source's root.

    A stem joins files where at least one of them bears a tool's mark. It is doubted, and joins nothing, where it is the
    name of a class, or too many files have it to be copies.
    """
    split = [_stem(path) for path in paths]
    known = {(folder, stem) for folder, stem, _ in split}
    keys, marked, exported = [], set(), set()
    for folder, stem, cut in split:
        for weak in (mark.sub("", stem) for mark in _WEAK):
            if weak != stem and (folder, weak) in known and re.search(r"\d", weak):
                stem, cut = weak, cut or "weak"
                break
        keys.append((folder, stem))
        if cut:
            marked.add((folder, stem))
        if cut == "export":
            exported.add((folder, stem))
    bare = {(folder, stem) for folder, stem, cut in split if not cut}
    counts = Counter(key for key in keys if key in marked)
    names = {_letters(label) for label in labels}
    good = {
        key
        for key, count in counts.items()
        if count > 1
        and _letters(key[1]) not in names
        and count <= (MOST_COPIES if re.search(r"\d", key[1]) else MOST_OF_A_WORD)
        and (re.search(r"\d", key[1]) or key in bare or key in exported)
    }
    doubted = {key[1]: count for key, count in counts.items() if count > 1 and key not in good}
    return Stems(tuple("/".join([*folder, stem]) if (folder, stem) in good else None for folder, stem in keys), doubted)


def _stem(path: str) -> tuple[tuple[str, ...], str, str]:
    """Split a path into the folders that say something, the stem without marks, and which kind of mark was cut off."""
    pure = PurePosixPath(normal(path).casefold())
    stem, cut = pure.stem, ""
    while True:
        for mark in _MARKS:
            left = mark.sub("", stem)
            if left != stem and _letters(left):
                cut = "export" if mark is _EXPORT else cut or "mark"
                stem = left
                break
        else:
            folders = tuple(part for part in pure.parts[:-1] if part not in _NEUTRAL)
            return folders, stem.strip(" _.-") or stem, cut


def _letters(text: str) -> str:
    return re.sub(r"[\W_]", "", text.casefold())


# A pattern of the settings


def named_groups(pattern: str, paths: Sequence[str]) -> list[str | None]:
    """Return the group that `pattern` finds in each path: its group `asset`, else its first, else the whole match.

    None where it does not match or the group is empty. Upper and lower case are one. Raises InputError for a pattern
    that is no regular expression.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"data.group_pattern is {pattern!r}, which is no regular expression: {error}") from error
    group: int | str = "asset" if "asset" in compiled.groupindex else min(compiled.groups, 1)
    found = [compiled.search(normal(path)) for path in paths]
    return [(match[group] or "").casefold() or None if match else None for match in found]


def effect(groups: Sequence[str | None], paths: Sequence[str], key: str) -> str:
    """Say what grouping by the setting `key` does: how many groups, the biggest, and what has none."""
    counts = Counter(group for group in groups if group is not None)
    without = [path for path, group in zip(paths, groups, strict=True) if group is None]
    missing = f"; {len(without)} images have none (first {without[0]})" if without else "; every image has one"
    if not counts:
        return f"{key} finds no group in any of {len(paths)} images (first {paths[0]}); look at the setting again"
    name, size = counts.most_common(1)[0]
    return f"{key} makes {len(counts)} groups that stay whole, the biggest {name} with {size} images{missing}"


# Proposals


@dataclass(frozen=True)
class Proposal:
    """A way to group that fits the data: `setting` is the line for pipeline.toml, `groups` what it would make."""

    what: str  # asset, visit, folder ...
    setting: str
    groups: tuple[str | None, ...]

    def sentence(self, sides: Sequence[str]) -> str:
        """Say how the groups would be, and on how many sides of the split (of each image, "": none) they stand now."""
        stand: dict[str, set[str]] = {}
        for group, side in zip(self.groups, sides, strict=True):
            if group is not None and side:
                stand.setdefault(group, set()).add(side)
        counts = Counter(group for group in self.groups if group is not None)
        torn = sum(len(where) > 1 for where in stand.values())
        name, size = counts.most_common(1)[0]
        how = "every one stands" if torn == len(stand) else f"{torn} of them stand"
        now = f"{how} on several sides of the split" if torn else "each stands on one side of the split now"
        plural = self.what if self.what.endswith("s") else f"{self.what}s"
        return (
            f"names or EXIF show {len(counts)} {plural} (the biggest {name} with {size} images); {now}. "
            f"To measure on {plural} that were never learned from, set {self.setting}"
        )


DATE = r"(?<!\d)((?:19|20)\d\d[-_.]?(?:0[1-9]|1[0-2])[-_.]?(?:0[1-9]|[12]\d|3[01]))(?=\D|\d{4}(?:\d\d)?\D)"
_NAMED = (
    ("asset", r"(?:^|[^A-Za-z0-9])([A-Za-z]{1,12}[-_ ]?\d{1,6})[-_ ][^/]*$"),
    ("visit", DATE),
    ("series", r"([^/]*[^/\d_ -])[-_ ]*\(?\d+\)?\.[^./]+$"),
)
_DEEPEST = 4  # levels of folders that are looked at


def proposals(paths: Sequence[str], labels: Sequence[str], exif: Mapping[str, Sequence[str]]) -> list[Proposal]:
    """Return the groupings that names, folders and EXIF show, at most one of each kind.

    `exif` holds for each value of data.group_exif what it finds in each image ("": nothing).
    """
    patterns = [*_NAMED, *(("folder", rf"^(?:[^/]+/){{{level}}}([^/]+)/") for level in range(_DEEPEST))]
    found: dict[str, Proposal] = {}
    taken: set[tuple[str | None, ...]] = set()
    for what, pattern in patterns:
        groups = tuple(named_groups(pattern, paths))
        if what not in found and groups not in taken and _worth_it(groups, labels):
            found[what] = Proposal(what, f"data.group_pattern = '{pattern}'", groups)
            taken.add(groups)
    for what, values in exif.items():
        groups = tuple(value or None for value in values)
        if what not in found and _worth_it(groups, labels):
            found[f"EXIF {what}"] = Proposal(what, f'data.group_exif = "{what}"', groups)
    return list(found.values())


def _worth_it(groups: Sequence[str | None], labels: Sequence[str]) -> bool:
    """Whether groups are many enough, large enough, and not merely the classes or the sides of a split."""
    counts = Counter(group for group in groups if group is not None)
    covered = sum(counts.values())
    if covered < LEAST_COVERED * len(groups) or not LEAST_GROUPS <= len(counts) <= covered / LEAST_IN_A_GROUP:
        return False
    if max(counts.values()) > LARGEST_SHARE * len(groups) or set(counts) <= _NEUTRAL:
        return False
    held = {(group, label) for group, label in zip(groups, labels, strict=True) if group is not None}
    return len(held) > 1.2 * len(counts) or len(counts) >= 2 * len(set(labels))
