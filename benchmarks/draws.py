"""Figures of several draws pooled: means with intervals, and differences that are paired by draw."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy.stats import t as student


def pooled(
    draws: Sequence[Mapping[str, object]], arms: Sequence[str], pairs: Iterable[tuple[str, str]]
) -> dict[str, object]:
    """Return [mean, low, high] over the draws of every figure of `arms`, and of each of the `pairs` (first - second).

    A draw holds the figures of each arm, by name. Differences are of the figures that both arms have. The interval is
    of the mean (Student's t, 95 %); of a single draw there is none.
    """
    values = {arm: {key: [float(one[arm][key]) for one in draws] for key in draws[0][arm]} for arm in arms}  # type: ignore[index,attr-defined]
    told: dict[str, object] = {arm: {key: _interval(found) for key, found in of.items()} for arm, of in values.items()}
    for first, second in pairs:
        told[f"{first} - {second}"] = {
            key: _interval([a - b for a, b in zip(found, values[second][key], strict=True)])
            for key, found in values[first].items()
            if key in values[second]
        }
    return told


def _interval(found: Sequence[float]) -> list[float]:
    mean = float(np.mean(found))
    if len(found) < 2:
        return [round(mean, 4)]
    half = float(student.ppf(0.975, len(found) - 1) * np.std(found, ddof=1) / np.sqrt(len(found)))
    return [round(mean, 4), round(mean - half, 4), round(mean + half, 4)]
