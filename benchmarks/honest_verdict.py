"""How often the verdict says PASS where nothing was gained: A/A, shuffled labels, generated images of pure noise.

    python -m benchmarks.honest_verdict [--repeats 20] [--draws 5]

Each repeat is a small comparison on rendered station scenes: logistic regression on frozen features, as `train.layers =
"classifier"` fits it, a few draws of four training images per class, and the comparison stage's own arithmetic.
"""

import argparse
from collections.abc import Mapping

import numpy as np
import torch

from augment.arrays import Numbers
from augment.evaluation.arm_comparison import Truth, by_argmax, summarise
from augment.evaluation.metrics import FAIL, INCONCLUSIVE, PASS
from augment.mini.scenes import FAULT_LABELS, LABELS, render, sample_scene
from augment.record_types import TrainedArm
from augment.records import item_seed
from augment.settings import CompareSettings, Settings, TrainSettings
from augment.training import linear_probe
from export.network import build_network, load_initial_weights, normalise

SIDE = 64  # pixels
PER_CLASS = 4  # training images
GENERATED = 8  # per class
TEST = 20  # images per class
SHARE = 0.2  # weight of generated images


class Backbone:
    """Frozen features of rendered scenes and of noise."""

    def __init__(self) -> None:
        self.network = build_network("efficientnet_lite0", 2)
        load_initial_weights(self.network, "imagenet")
        self.network.eval()

    def of(self, frames: list[np.ndarray]) -> Numbers:
        """float32 (N, 1, D)."""
        with torch.inference_mode():
            batches = [torch.from_numpy(np.stack(frames[at : at + 64])) for at in range(0, len(frames), 64)]
            return np.concatenate([self.network.features(normalise(b)).mean((2, 3)).numpy() for b in batches])[:, None]


def scenes(name: str, per_class: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Station renders, classes in turn, and their labels."""
    targets = np.arange(len(LABELS)).repeat(per_class)
    seeds = [item_seed(0, name, str(number)) for number in range(len(targets))]
    return [render(sample_scene(s, "station", LABELS[k]), SIDE) for s, k in zip(seeds, targets, strict=True)], targets


def arms_of(case: str, name: str, backbone: Backbone) -> Mapping[str, tuple[Numbers, np.ndarray, np.ndarray]]:
    """Features, targets and weights of the arms `real` and `candidate` of one draw."""
    frames, targets = scenes(name, PER_CLASS)
    real = backbone.of(frames)
    rng = np.random.default_rng(item_seed(0, case, name))
    if case == "A/A":  # another draw of the same size: neither arm is better
        others, same = scenes(f"{name}/other", PER_CLASS)
        return {
            "real": (real, targets, np.ones(len(real))),
            "candidate": (backbone.of(others), same, np.ones(len(same))),
        }
    if case == "noise":
        extra = backbone.of([rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8) for _ in range(GENERATED * len(LABELS))])
        labels = np.arange(len(LABELS)).repeat(GENERATED)
    else:  # pictures of the right kind under wrong labels
        others, labels = scenes(f"{name}/other", GENERATED)
        extra, labels = backbone.of(others), rng.permutation(labels)
    weights = np.concatenate([np.full(len(real), (1 - SHARE) / len(real)), np.full(len(extra), SHARE / len(extra))])
    joined = np.concatenate([real, extra]), np.concatenate([targets, labels]), weights
    return {"real": (real, targets, np.ones(len(real))), "candidate": joined}


def verdict(case: str, repeat: int, draws: int, backbone: Backbone) -> str:
    """The verdict of one repeat."""
    frames, targets = scenes(f"{repeat}/test", TEST)
    test = backbone.of(frames)[:, 0]
    logits, records = {}, []
    for draw in range(draws):
        for arm, (features, labels, weights) in arms_of(case, f"{repeat}/{draw}", backbone).items():
            weight, bias, _ = linear_probe.solve(features, labels, weights, linear_probe.PENALTIES[-1], len(LABELS))
            logits[f"{arm}/{draw}"] = test @ weight.T + bias
            records.append(TrainedArm(id=f"{arm}/{draw}", arm=arm, seed=draw))
    settings = Settings(
        train=TrainSettings(arms=("real", "candidate")), compare=CompareSettings(baseline="real", candidate="candidate")
    )
    truth = Truth(LABELS, FAULT_LABELS, targets, [str(number) for number in range(len(targets))])
    return summarise(settings, records, truth, by_argmax(truth, records, logits)).verdict


def main() -> None:
    """Print how often each verdict came."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--draws", type=int, default=5)
    given = parser.parse_args()
    backbone = Backbone()
    for case in ("A/A", "shuffled", "noise"):
        found = [verdict(case, repeat, given.draws, backbone) for repeat in range(given.repeats)]
        counts = ", ".join(f"{found.count(word)} {word}" for word in (PASS, INCONCLUSIVE, FAIL))
        print(f"{case}: of {given.repeats} comparisons {counts}", flush=True)


if __name__ == "__main__":
    main()
