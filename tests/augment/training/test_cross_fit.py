import numpy as np
import pytest

from augment.json_objects import from_json
from augment.record_types import CurationRecord, DatasetRecord, GeneratedRecord
from augment.training.cross_fit import folds_of
from edge_runtime.bundle.errors import InputError

REAL = [
    from_json(DatasetRecord, {"id": f"r{at}", "label": ("ok", "bad")[at % 2], "group": f"g{at // 4}"})
    for at in range(40)
]


def generated(number: int, source: str, host: str | None = None) -> tuple[CurationRecord, GeneratedRecord]:
    content = {"id": f"m{number}", "label": "bad", "method": "transplant", "source": source, "host": host}
    return from_json(CurationRecord, content), from_json(GeneratedRecord, content)


def test_every_picture_is_judged_once_by_a_training_that_saw_none_of_its_group():
    found = folds_of(REAL, REAL, {}, 5, seed=0)
    assert (found.judged.sum(axis=0) == 1).all()
    assert (found.judged == found.left_out).all()
    groups = np.array([image.group for image in REAL])
    for judged in found.judged:
        assert not set(groups[judged]) & set(groups[~judged])


def test_a_generated_picture_joins_only_where_its_source_and_its_host_do():
    (first, of_first), (second, of_second) = generated(0, "r0"), generated(1, "r0", "r39")
    found = folds_of([*REAL, first, second], REAL, {"m0": of_first, "m1": of_second}, 5, seed=0)
    judged = {name: found.judged[:, int(name[1:])] for name in ("r0", "r39")}
    assert (found.left_out[:, 40] == judged["r0"]).all()
    assert (found.left_out[:, 41] == judged["r0"] | judged["r39"]).all()


def test_the_folds_are_the_same_for_every_arm():
    alone, none = folds_of(REAL, REAL, {}, 4, seed=3), folds_of([], REAL, {}, 4, seed=3)
    assert (alone.judged == none.judged).all()
    assert none.left_out.shape == (4, 0)


def test_more_folds_than_groups_are_refused():
    with pytest.raises(InputError, match=r"cross_fit is 11.*are 10 groups; lower it"):
        folds_of(REAL, REAL, {}, 11, seed=0)
