"""A narrow network and the bundle packed from it: exporting takes seconds, so the session shares both."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edge_runtime.bundle.decision import DecisionRule, SpatialRule
from edge_runtime.bundle.heads import SpatialHead
from edge_runtime.bundle.preprocess import PreprocessSpec
from export.acceptance import Evidence
from export.checkpoint import save_checkpoint
from export.golden_frames import LabelledFrame
from export.pack import pack_bundle
from export.parity import answers, torch_runner, torch_scores
from export.spatial_network import SpatialNetwork
from tests.support.narrow_network import (
    CARD,
    FAULTS,
    LABELS,
    SPATIAL_CARD,
    SPATIAL_FAULTS,
    SPATIAL_HEAD,
    SPATIAL_LABELS,
    SPATIAL_SPEC,
    narrow_network,
    pictures,
    spatial_network,
)

# What a conftest takes over.
__all__ = ["_one_thread", "checkpoint", "evidence", "held_out", "network", "packed", "rule", "spatial_packed"]


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


def spatial_evidence(network: SpatialNetwork, spec: PreprocessSpec, head: SpatialHead) -> tuple[Evidence, SpatialRule]:
    """Evidence whose labels are those of the network's own rule, and that rule: nobody trained it.

    Of sixty frames those forty are taken that lie furthest from another label: half precision turns none round.
    """
    frames = list(pictures(60, 6, 128, 192))
    views = np.stack([spec.views(frame) for frame in frames])
    scores = answers(torch_runner(network), head, views).scores
    middle = float(np.median(scores[:, -1]))
    about = (head, SPATIAL_LABELS, SPATIAL_FAULTS, 1.0, {"hot": 4.0}, {"hot": -4 * middle})
    rule = SpatialRule(*about, dict.fromkeys(SPATIAL_FAULTS, 0.5))
    margins = np.minimum(abs(scores[:, -1] - middle), abs(scores[:, 0] - scores[:, 1]))
    clear = np.sort(np.argsort(-margins)[:40]).tolist()
    items = [LabelledFrame(str(at), rule.decide(scores[at]).label, frames[at]) for at in clear]
    return Evidence(views[:, 0], items[:16], items, items), rule


@pytest.fixture(scope="session", params=[(1, 1), (1, 2)], ids=["whole", "tiles"])
def spatial_packed(request, tmp_path_factory) -> Path:
    """A bundle with a spatial head, for whole frames and for frames in two tiles."""
    folder, spec, network = (
        tmp_path_factory.mktemp("spatial"),
        replace(SPATIAL_SPEC, tiles=request.param),
        spatial_network(),
    )
    save_checkpoint(folder / "checkpoint", network, {**SPATIAL_CARD, "input": spec.to_json()})
    evidence, rule = spatial_evidence(network, spec, SPATIAL_HEAD)
    support = {"line_hot": {"supported": False, "why": "the gap is 2 points"}}
    pack_bundle(
        folder / "checkpoint",
        evidence,
        folder / "bundle",
        name="spatial",
        version="1",
        decision=rule,
        metrics={"support": support, "smallest_fault": None},
        lineage={},
        created="2026-01-01T00:00:00+00:00",
    )
    return folder / "bundle"
