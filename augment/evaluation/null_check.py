"""The null check: does a picture score higher as a fault merely because something was composed into it?

A method that sets faults into healthy pictures leaves traces of its own: resampling, an encoder, colours that no camera
makes. A classifier may learn these instead of the fault. So held-out healthy pictures go through the same composition
with amplitude zero, which leaves the traces and no fault (`models.null_pictures`), and may not outscore their hosts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from augment.arrays import Numbers
from augment.evaluation.metrics import FAIL, INCONCLUSIVE, PASS, interval
from augment.record_types import Interval

EVEN = 0.5  # of share and AUC, where composing changes nothing
TOLERATED = 0.02  # AUC above even: every score a hair higher is a share of 1 and harms nobody
FEWEST = 10  # groups of pictures below which nothing is said


@dataclass(frozen=True)
class NullCheck:
    """What composing without a fault does to the fault score of healthy pictures."""

    pictures: int
    share: Interval  # of the pictures that score above their hosts, equal ones counted half
    auc: Interval  # of the composed pictures against the hosts
    verdict: str  # PASS, FAIL (composing alone raises the score) or INCONCLUSIVE (too few pictures)
    sentence: str


def null_check(
    hosts: Numbers,
    composed: Numbers,
    groups: Sequence[str],
    generator: np.random.Generator,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> NullCheck:
    """Compare the fault scores (N,) of pictures composed with amplitude zero with those of their hosts, pair by pair.

    `groups` (N,) says which pictures show the same thing: they are resampled together. It fails where both share and
    AUC are above even beyond the interval of `confidence`, the AUC by more than is tolerated.
    """
    if not len(hosts) == len(composed) == len(groups):
        raise ValueError(f"{len(hosts)} hosts, {len(composed)} composed pictures and {len(groups)} groups are no pairs")
    names, index = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    if len(names) < FEWEST:
        unknown = Interval(value=EVEN, low=0.0, high=1.0)
        sentence = f"{len(names)} groups of held-out healthy pictures are too few to say what composing alone does"
        return NullCheck(len(hosts), unknown, unknown, INCONCLUSIVE, sentence)
    counts = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), resamples)  # (R, G)
    weights = np.concatenate([np.ones((1, len(names))), counts])[:, index]  # the first row is the sample itself
    shares = weights @ _wins(composed, hosts) / weights.sum(axis=1)
    above = _wins(composed[:, None], hosts[None, :])  # (N, N)
    above[index[:, None] == index[None, :]] = EVEN  # a picture beside itself is the share's business
    aucs = ((weights @ above) * weights).sum(axis=1) / weights.sum(axis=1) ** 2
    share, auc = (interval(found[0], found[1:], confidence) for found in (shares, aucs))
    failed = share.low > EVEN and auc.low > EVEN + TOLERATED
    return NullCheck(len(hosts), share, auc, FAIL if failed else PASS, _sentence(share, auc, len(hosts), failed))


def _wins(first: Numbers, second: Numbers) -> Numbers:
    """Return 1 where `first` is higher, 0 where it is lower, and 0.5 where they are equal."""
    return np.asarray((np.sign(first - second) + 1) / 2)


def _sentence(share: Interval, auc: Interval, pictures: int, failed: bool) -> str:
    found = (
        f"of {pictures} held-out healthy pictures composed with amplitude zero {100 * share.value:.0f} % "
        f"[{100 * share.low:.0f}, {100 * share.high:.0f}] score above their hosts, AUC {100 * auc.value:.1f} "
        f"[{100 * auc.low:.1f}, {100 * auc.high:.1f}]"
    )
    if failed:
        return f"{found}: the score rests on traces of composing, not on the fault"
    return f"{found}: composing alone does not raise the score"
