"""Join what several runs found: folds of one draw side by side, draws as trainings of their own. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from augment import record_types as types
from augment.arrays import Labels, Numbers
from augment.evaluation.arm_comparison import ArmAnswers, SpotTest, Truth
from augment.evaluation.spot_measures import Pictures, Scores


@dataclass(frozen=True)
class Compared:
    """What the trainings of a run say of its N test pictures, which are in the order of `ids`."""

    ids: Sequence[str]
    truth: Truth
    answers: Mapping[str, ArmAnswers]  # by arm
    spots: SpotTest


def join_folds(folds: Sequence[Compared]) -> Compared:
    """Return the folds of one draw as one comparison, sorted by id; each picture keeps the thresholds of its own fold.

    Scores must mean the same in every fold (log-odds, say), or no measure over all of them would.
    """
    ids = [name for fold in folds for name in fold.ids]
    order = np.argsort(ids)
    first = folds[0]
    truth = replace(
        first.truth,
        targets=np.concatenate([fold.truth.targets for fold in folds])[order],
        groups=np.array([group for fold in folds for group in fold.truth.groups])[order].tolist(),
    )
    fold_of = np.repeat(np.arange(len(folds)), [len(fold.ids) for fold in folds])[order]
    answers = {arm: _joined_answers([fold.answers[arm] for fold in folds], order) for arm in first.answers}
    tests = [fold.spots for fold in folds]
    spots = SpotTest(
        pictures=Pictures(
            np.concatenate([test.pictures.labels for test in tests])[order],
            tests[0].pictures.healthy,
            np.concatenate([test.pictures.sides for test in tests])[order],
        ),
        questions=tests[0].questions,
        scores={arm: _joined_scores([test.scores[arm] for test in tests], order, fold_of) for arm in first.answers},
        smallest={arm: _most_cautious([test.smallest[arm] for test in tests]) for arm in first.answers},
    )
    return Compared(np.array(ids)[order].tolist(), truth, answers, spots)


def stack_draws(draws: Sequence[Compared]) -> Compared:
    """Return draws over the same pictures as one comparison, in which every draw is a training."""
    first = draws[0]
    tests = [draw.spots for draw in draws]
    spots = replace(
        first.spots,
        scores={arm: _stacked_scores([test.scores[arm] for test in tests]) for arm in first.answers},
        smallest={arm: _most_cautious([test.smallest[arm] for test in tests]) for arm in first.answers},
    )
    answers = {arm: _stacked_answers([draw.answers[arm] for draw in draws]) for arm in first.answers}
    return Compared(first.ids, first.truth, answers, spots)


def _joined_answers(parts: Sequence[ArmAnswers], order: Labels) -> ArmAnswers:
    per_training = zip(*(part.probabilities for part in parts), strict=True)
    return ArmAnswers(
        predicted=np.concatenate([part.predicted for part in parts], axis=1)[:, order],
        faulty=np.concatenate([part.faulty for part in parts], axis=1)[:, order],
        probabilities=[np.concatenate(found)[order] for found in per_training],
        pooled=np.concatenate([part.pooled for part in parts])[order],
    )


def _stacked_answers(parts: Sequence[ArmAnswers]) -> ArmAnswers:
    return ArmAnswers.by_votes(
        np.concatenate([part.predicted for part in parts]),
        np.concatenate([part.faulty for part in parts]),
        [found for part in parts for found in part.probabilities],
    )


def _joined_scores(parts: Sequence[Scores], order: Labels, fold_of: Labels) -> Scores:
    def joined(arrays: Sequence[Numbers]) -> Numbers:
        found: Numbers = np.concatenate(arrays, axis=1)[:, order]
        return found

    per_training = zip(*(part.held_out for part in parts), strict=True)
    held_out = [
        [replace(own, tested=np.flatnonzero(fold_of == fold)) for fold, held in enumerate(of_folds) for own in held]
        for of_folds in per_training
    ]
    return Scores(
        as_is=joined([part.as_is for part in parts]),
        painted=joined([part.painted for part in parts]),
        control=joined([part.control for part in parts]),
        points=joined([part.points for part in parts]),
        held_out=held_out,
    )


def _stacked_scores(parts: Sequence[Scores]) -> Scores:
    return Scores(
        as_is=np.concatenate([part.as_is for part in parts]),
        painted=np.concatenate([part.painted for part in parts]),
        control=np.concatenate([part.control for part in parts]),
        points=np.concatenate([part.points for part in parts]),
        held_out=[held for part in parts for held in part.held_out],
    )


def _most_cautious(found: Sequence[types.SmallestFault | None]) -> types.SmallestFault | None:
    """Return the largest of what was shown to be seen; None where one of the runs shows nothing."""
    known = [own for own in found if own is not None]
    return max(known, key=lambda own: own.pixels) if len(known) == len(found) else None
