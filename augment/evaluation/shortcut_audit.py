"""Whether the classes can be told without looking at what the pictures show: by the file, the camera, the day.

A classifier that is given one trait of the files alone judges groups of pictures that it has not seen. Where it tells
a class, so can a network, and good test figures then say nothing about faults. Traits of the container warn; what a
glance at the picture tells (colour, light) may belong to the fault and is only told.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from augment.data.split import stratified_folds
from augment.evaluation.picture_traits import QUALITY, Traits
from augment.record_types import Shortcut

Column: TypeAlias = NDArray[np.float64]
Rates: TypeAlias = NDArray[np.float64]  # (N, classes)
Areas: TypeAlias = Mapping[str, float]  # trait, or "" for all of the container together -> area under the ROC curve

CONTAINER, CONTENT = "container", "content"
TELLS = 0.85  # of pairs, one picture of the class and one of another: by chance it is 0.5
FEW, TELLS_FEW = 20, 0.97  # of a class with fewer groups: of 37 breeds with 10 pictures some reach 0.94 without a cause
CONFIDENCE = 0.95  # that none of all looks is chance
FOLDS = 5
LEAST = 5  # pictures in a leaf of a tree
TREES = 60
MOST_NAMED = 3  # traits; one cause shows in many
ABSENT = -1.0  # in place of a number that a file does not have

# Of each trait: its kind, what it is called, and what ends the shortcut.
_SAME_SAVING = "save the pictures of all classes in one way, from the originals"
_SAME_FRAME = "crop or resize the pictures of all classes in one way"
_MORE_CAMERAS = "photograph every class with every camera, or leave this class's odd pictures out"
_MORE_VISITS = "photograph every class on several visits, and set data.group_pattern so that visits stay whole"
_INFORMATION = "colour and light may belong to the fault; if they do not, photograph all classes in the same light"
TRAITS = {
    "format": (CONTAINER, "file format", _SAME_SAVING),
    "EXIF": (CONTAINER, "whether there is EXIF", _SAME_SAVING),
    "quality": (CONTAINER, "JPEG quality", _SAME_SAVING),
    "sampling": (CONTAINER, "chroma subsampling of the JPEG", _SAME_SAVING),
    "progressive": (CONTAINER, "progressive JPEG", _SAME_SAVING),
    "bytes": (CONTAINER, f"bytes of the file beside the same picture as JPEG {QUALITY}", _SAME_SAVING),
    "blocks": (CONTAINER, "visible JPEG blocks", _SAME_SAVING),
    "mode": (CONTAINER, "colour mode of the file", _SAME_SAVING),
    "pixels": (CONTAINER, "size in pixels", _SAME_FRAME),
    "aspect": (CONTAINER, "aspect", _SAME_FRAME),
    "borders above or below": (CONTAINER, "borders above or below", "cut the borders of all pictures away"),
    "borders at the sides": (CONTAINER, "borders at the sides", "cut the borders of all pictures away"),
    "camera": (CONTAINER, "camera (EXIF)", _MORE_CAMERAS),
    "serial": (CONTAINER, "serial number of the camera (EXIF)", _MORE_CAMERAS),
    "software": (CONTAINER, "software (EXIF)", _SAME_SAVING),
    "place": (CONTAINER, "place (EXIF)", _MORE_VISITS),
    "day": (CONTAINER, "day (EXIF)", _MORE_VISITS),
    "hour": (CONTAINER, "time of day (EXIF)", _MORE_VISITS),
    "date in the name": (CONTAINER, "date in the name", _MORE_VISITS),
    "folder": (CONTAINER, "folder", _MORE_VISITS),
    "redness": (CONTENT, "redness", _INFORMATION),
    "blueness": (CONTENT, "blueness", _INFORMATION),
    "brightness": (CONTENT, "brightness", _INFORMATION),
    "contrast": (CONTENT, "contrast", _INFORMATION),
    "sharpness": (CONTENT, "sharpness", _INFORMATION),
}


def audit(traits: Sequence[Traits], labels: Sequence[str], groups: Sequence[str], seed: int) -> list[Shortcut]:
    """Return the shortcuts of N pictures, those of the container first: which traits tell which class.

    `groups` name what shows one thing; a picture is judged by what was learned from other groups.
    """
    names = sorted(set(labels))
    of_class = np.array([names.index(label) for label in labels])
    parts = min(FOLDS, len(set(groups)), max(Counter(labels).values(), default=0))
    if len(names) < 2 or parts < 2:
        return []
    folds = stratified_folds(list(labels), list(groups), parts, seed)
    columns = {name: _column(name, traits) for name in TRAITS}
    varied = {name: column for name, column in columns.items() if len(np.unique(column)) > 1}
    bound = _bounds(of_class, groups, looks=(len(varied) + 1) * len(names))
    judged = {name: _judge(column[:, None], of_class, folds, seed) for name, column in varied.items()}
    together = [varied[name] for name in varied if TRAITS[name][0] == CONTAINER]
    found = []
    for kind in (CONTAINER, CONTENT):
        alone = {name: rates for name, rates in judged.items() if TRAITS[name][0] == kind}
        if kind == CONTAINER and together:
            alone[""] = _judge(np.stack(together, axis=1), of_class, folds, seed)
        found += [_shortcut(kind, names[at], areas) for at, areas in _told(alone, of_class, bound)]
    return found


def _told(judged: Mapping[str, Rates], of_class: NDArray[np.int64], bound: Sequence[float]) -> list[tuple[int, Areas]]:
    """Return each class that is told, and by which traits, the strongest first.

    Where one class is told, every other is told from it; so the next is judged among the classes that are left.
    """
    found: list[tuple[int, Areas]] = []
    left = np.unique(of_class)
    while len(left) > 1:
        here = np.isin(of_class, left)
        areas = {
            at: {name: area for name, rates in judged.items() if (area := _area(rates[here, at], of_class[here] == at))}
            for at in left.tolist()
        }
        telling = {at: {name: area for name, area in areas[at].items() if area >= bound[at]} for at in areas}
        best = max(telling, key=lambda at: max(telling[at].values(), default=0.0))
        if not telling[best]:
            break
        found.append((best, telling[best]))
        left = left[left != best]
    return found


def _groups_of_each(of_class: NDArray[np.int64], groups: Sequence[str]) -> list[int]:
    held = Counter(at for at, _ in set(zip(of_class.tolist(), groups, strict=True)))
    return [held[at] for at in range(of_class.max() + 1)]


def _column(name: str, traits: Sequence[Traits]) -> Column:
    """Return a trait as one number for each picture: texts by their place in the order, ABSENT where there is none."""
    values = [found.get(name, "") for found in traits]
    order = {
        text: at for at, text in enumerate(sorted({value for value in values if isinstance(value, str) and value}))
    }
    return np.array([order.get(value, ABSENT) if isinstance(value, str) else float(value) for value in values])


def _judge(
    columns: NDArray[np.float64], of_class: NDArray[np.int64], folds: Sequence[NDArray[np.int64]], seed: int
) -> Rates:
    """Return how likely each picture is of each class, by those of the other folds: (N, classes)."""
    rates = np.zeros((len(of_class), of_class.max() + 1))
    for fold in folds:
        learn = np.ones(len(of_class), bool)
        learn[fold] = False
        shape = {"class_weight": "balanced", "min_samples_leaf": LEAST, "random_state": seed % 2**32}
        model = (
            DecisionTreeClassifier(max_leaf_nodes=8 + 4 * rates.shape[1], **shape)
            if columns.shape[1] == 1
            else RandomForestClassifier(TREES, max_depth=8, **shape)
        )
        model.fit(columns[learn], of_class[learn])
        rates[np.ix_(fold, model.classes_)] = model.predict_proba(columns[fold])
    return rates


def _area(rates: Column, mine: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve: in which share of pairs the rates tell which picture is of the class."""
    count = int(mine.sum())
    others = max(len(mine) - count, 1)
    return float((rankdata(rates)[mine].sum() - count * (count + 1) / 2) / (count * others))


def _bounds(of_class: NDArray[np.int64], groups: Sequence[str], looks: int) -> list[float]:
    """Return the area from which a class is told: large, and not reached by chance in any of so many looks.

    Under chance the area of m against n has the variance (m + n + 1) / (12 m n) (Mann and Whitney 1947); m and n count
    groups, since the pictures of one group are one observation.
    """
    beyond = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / looks)
    total = len(set(groups))
    bounds = []
    for mine in _groups_of_each(of_class, groups):
        others = max(total - mine, 1)
        chance = 0.5 + beyond * ((mine + others + 1) / (12 * mine * others)) ** 0.5
        bounds.append(max(chance, TELLS if mine >= FEW else TELLS_FEW))
    return bounds


def _shortcut(kind: str, label: str, areas: Areas) -> Shortcut:
    area = max(areas.values())
    order = list(TRAITS)
    names = sorted((name for name in areas if name), key=lambda name: (-round(areas[name], 2), order.index(name)))
    names = names[:MOST_NAMED]
    words = ", ".join(TRAITS[name][1] for name in names) or "size, format, compression and date of the files together"
    advice = "; ".join(dict.fromkeys(TRAITS[name][2] for name in names)) or f"{_SAME_SAVING}; {_SAME_FRAME}"
    share = f"{100 * area:.0f} of 100"
    consequence = (
        "a network can learn that instead of the fault, and its test figures then mean little"
        if kind == CONTAINER
        else "look whether that belongs to it"
    )
    return Shortcut(
        kind=kind,
        label=label,
        traits=names,
        area=round(area, 3),
        sentence=f"{words}: enough to tell class {label} from the others in {share} pairs of pictures; {consequence}. "
        f"To end it, {advice}",
    )
