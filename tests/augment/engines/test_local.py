import numpy as np
import pytest

from augment.engines.local import LocalEngine
from augment.records import Journal
from edge_runtime.bundle.errors import InputError
from tests.support.drawing_work import Drawing, Drawn, Item


def test_quick_batches_before_an_error_are_journaled_and_not_worked_on_again(tmp_path):
    batches = [[Item(str(seed), seed)] for seed in range(5)]
    journal = Journal(tmp_path / "journal.jsonl", Drawn, "key")
    with pytest.raises(InputError, match="3 cannot be drawn"):
        LocalEngine().map(Drawing(tmp_path, refuses="3"), batches, journal, lambda item: item.id)
    assert list(journal.read()) == ["0", "1", "2"]
    found = LocalEngine().map(Drawing(tmp_path), batches, journal, lambda item: item.id)
    assert found == journal.read()
    assert np.bincount([int(path.name[0]) for path in (tmp_path / "drawn").iterdir()]).tolist() == [1] * 5


def test_a_batch_that_takes_its_time_is_journaled_at_once(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl", Drawn, "key")
    before = []

    class Watching(Drawing):
        def _draw(self, item: Item) -> Drawn:
            before.append(len(journal.read()))
            return super()._draw(item)

    batches = [[Item(str(seed), seed)] for seed in range(3)]
    LocalEngine().map(Watching(tmp_path, seconds=0.26), batches, journal, lambda item: item.id)
    assert before == [0, 1, 2]
