"""A narrow network and the bundle packed from it: exporting takes seconds, so the session shares both."""

from pathlib import Path

import pytest
import torch
from torch import nn

from edge_runtime.bundle.decision import DecisionRule
from export.acceptance import Evidence
from export.checkpoint import save_checkpoint
from export.golden_frames import LabelledFrame
from export.pack import pack_bundle
from export.parity import torch_scores
from tests.support.narrow_network import CARD, FAULTS, LABELS, narrow_network, pictures


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """On convolutions this small a second thread only waits; on a busy machine it made these tests ten times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def network() -> nn.Module:
    return narrow_network()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory, network) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    save_checkpoint(folder, network, CARD)
    return folder


@pytest.fixture(scope="session")
def rule() -> DecisionRule:
    return DecisionRule(LABELS, FAULTS, temperature=4.0, thresholds={"cracked": 0.4, "hot": 0.3})


@pytest.fixture(scope="session")
def held_out() -> list[LabelledFrame]:
    """Twelve pictures, larger than the input, four of each label."""
    frames = pictures(12, seed=5, height=96, width=128)
    return [LabelledFrame(f"picture-{i}", LABELS[i % 3], frame) for i, frame in enumerate(frames)]


@pytest.fixture(scope="session")
def evidence(network, held_out) -> Evidence:
    """Test frames bear the label that the network finds likeliest: nobody trained it, so the truth would be noise."""
    frames = pictures(60, seed=6)
    found = torch_scores(network, frames).scores.argmax(axis=1)
    test = [LabelledFrame(f"test-{i}", LABELS[found[i]], frame) for i, frame in enumerate(frames)]
    return Evidence(pictures(16, seed=7), held_out, held_out, test)


@pytest.fixture(scope="session")
def packed(tmp_path_factory, checkpoint, evidence, rule) -> Path:
    """A bundle with two precisions; tests that change it work on a copy."""
    folder = tmp_path_factory.mktemp("packed") / "bundle"
    pack_bundle(
        checkpoint,
        evidence,
        folder,
        name="narrow",
        version="1",
        decision=rule,
        metrics={"macro_f1": 0.5},
        lineage={"run": "test"},
        created="2026-01-01T00:00:00+00:00",
    )
    return folder
