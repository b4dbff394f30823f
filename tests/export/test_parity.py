"""How far two sets of logits are apart."""

import numpy as np
import pytest

from edge_runtime.bundle.decision import DecisionRule
from export.parity import Answers, measure_parity


def test_parity_by_hand():
    rule = DecisionRule(("a", "b"), (), temperature=2.0)
    expected = np.array([[0.0, 0.0], [0.0, 2 * np.log(3)]])  # probabilities .5 .5 and .25 .75
    seen = np.array([[0.0, 0.0], [0.0, -2 * np.log(3)]])  # the second frame turned round: .75 .25
    maps = np.zeros((2, 2, 1, 1))
    parity = measure_parity("fp32", Answers(expected, maps), Answers(seen, maps - 0.25), rule)
    assert (parity.frames, parity.agreement) == (2, 0.5)
    assert parity.worst_probability == pytest.approx(0.5)
    assert parity.worst_score == pytest.approx(4 * np.log(3))
    assert parity.worst_map == 0.25
