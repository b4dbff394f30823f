"""Which pictures to look at again: labels and boxes that a classifier which has not learnt from them contradicts. Pure.

Labels are judged by confident learning (Northcutt et al. 2021, arXiv:1911.00068): a class is believed of a picture
where it is at least as likely as it is on average for the pictures that bear its label. So a class of which the
classifier is always sure needs much to be believed elsewhere, and one of which it is never sure needs little.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from augment.arrays import Labels, Numbers
from augment.record_types import Suspect

LABEL, BOX = "label", "box"
MOST = 24  # pictures to look at, of each kind


def contradictions(targets: Labels, probabilities: Numbers) -> tuple[Numbers, Labels]:
    """Return for N pictures by how much the own label is likelier than the likeliest other that is believed, and that.

    The first is negative where the label (N,) is contradicted by the `probabilities` (N, K), and above 0 where no other
    is believed.
    """
    rows = np.arange(len(targets))
    own = probabilities[rows, targets]
    believed = probabilities >= _usual(targets, probabilities)
    believed[rows, targets] = False
    rivals = np.where(believed, probabilities, -1.0)
    best = np.asarray(rivals.argmax(axis=1), np.int64)
    return own - rivals[rows, best], best


def _usual(targets: Labels, probabilities: Numbers) -> Numbers:
    """Return how likely each class is on average for the pictures that bear its label, (K,); 1 for one without."""
    found = np.ones(probabilities.shape[1])
    for label in np.unique(targets).tolist():
        found[label] = probabilities[targets == label, label].mean()
    return found


@dataclass(frozen=True)
class Judged:
    """N pictures: their ids, sides of the split and classes (N,), and what a classifier thinks of them.

    `probabilities` (N, K) are those of classifiers that have not learnt from the picture.
    """

    labels: tuple[str, ...]
    ids: Sequence[str]
    splits: Sequence[str]
    targets: Labels
    probabilities: Numbers

    def doubted(self) -> list[Suspect]:
        """Return the pictures whose label is contradicted, the one first whose label is least likely beside another."""
        margins, best = contradictions(self.targets, self.probabilities)
        order = np.argsort(margins, kind="stable")
        return [self._suspect(row, LABEL, int(best[row])) for row in order.tolist() if margins[row] < 0][:MOST]

    def pointing_elsewhere(self, points: Numbers, faults: Sequence[str]) -> list[Suspect]:
        """Return the pictures that are taken for faulty while their map peaks outside every box, the surest first.

        `points` (N,) is 0 where the map peaks outside, 1 inside or near, NaN without a box.
        """
        faulty: npt.NDArray[np.float64] = self.probabilities[:, np.isin(self.labels, faults)].sum(axis=1)
        rows = np.flatnonzero((points == 0) & (faulty > 0.5))
        order = rows[np.argsort(-faulty[rows], kind="stable")].tolist()
        return [self._suspect(row, BOX, int(self.targets[row])) for row in order][:MOST]

    def _suspect(self, row: int, doubt: str, likelier: int) -> Suspect:
        return Suspect(
            id=self.ids[row],
            split=self.splits[row],
            label=self.labels[self.targets[row]],
            doubt=doubt,
            likelier=self.labels[likelier],
            own=round(float(self.probabilities[row, self.targets[row]]), 4),
            other=round(float(self.probabilities[row, likelier]), 4),
        )
