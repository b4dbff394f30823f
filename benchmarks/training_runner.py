"""One training in a process of its own, for benchmarks/claim_training.py: ours, torchvision's or timm's.

    python -m benchmarks.training_runner ours|torchvision|timm JSON

JSON names the pictures (folders train/ and val/ with a folder per class), epochs, batch, size, rate, where to write,
and the script of the peer. The last line that it prints is a JSON object: seconds and processor seconds of the training
(imports and the building of the network apart, looks at the validation pictures and saved files included), and the
accuracy after the last epoch. All three train the same network from the same weights.
"""

import csv
import json
import os
import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from export.network import build_network, load_initial_weights

BACKBONE = "efficientnet_lite0"  # its ImageNet weights come with a package


class Clock:
    """Wall and processor seconds, the latter of ended children too, since `start`."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin to count; a second call begins anew."""
        self.wall, self.processor = time.monotonic(), self._processor()

    def read(self) -> dict[str, float]:
        """Return what has passed."""
        return {"seconds": time.monotonic() - self.wall, "processor": self._processor() - self.processor}

    @staticmethod
    def _processor() -> float:
        return sum(os.times()[:4])


def network(num_classes: int, **_: object) -> nn.Module:
    """Return the network that every contestant trains."""
    torch.manual_seed(0)
    built = build_network(BACKBONE, num_classes)
    load_initial_weights(built, "imagenet")
    return built


def started_at(first: Callable[..., Any], clock: Clock) -> Callable[..., Any]:
    """Return `first`, which starts the clock when it is called for the first time."""
    begun: list[bool] = []

    def timed(*arguments: Any, **named: Any) -> Any:
        if not begun:
            begun.append(True)
            clock.start()
        return first(*arguments, **named)

    return timed


def torchvision(given: dict[str, Any]) -> dict[str, float]:
    """Run references/classification/train.py of a checkout of pytorch/vision, whose folder `script` names."""
    sys.path.insert(0, given["script"])
    sys.argv[1:] = []
    import torchvision.models as models
    import train  # type: ignore[import-not-found]

    clock, found = Clock(), []

    def contestant(num_classes: int, **_: object) -> nn.Module:
        return network(max(num_classes, 5))  # the script measures the accuracy of five guesses too

    models.__dict__["contestant"] = contestant
    if hasattr(models, "get_model"):
        models.get_model = lambda name, weights=None, **named: contestant(**named)
    train.train_one_epoch = started_at(train.train_one_epoch, clock)
    judge = train.evaluate
    train.evaluate = lambda *arguments, **named: found.append(judge(*arguments, **named))
    asked = train.get_args_parser().parse_args(
        [
            *("--data-path", given["pictures"], "--model", "contestant", "--device", "cpu", "--workers", "0"),
            *("--batch-size", str(given["batch"]), "--epochs", str(given["epochs"]), "--opt", "adamw"),
            *("--lr", str(given["rate"]), "--wd", "0.05", "--lr-scheduler", "cosineannealinglr"),
            *("--label-smoothing", "0.1", "--output-dir", given["out"], "--train-crop-size", str(given["size"])),
            *("--val-crop-size", str(given["size"]), "--val-resize-size", str(given["size"] * 8 // 7)),
        ]
    )
    train.args = asked  # its `evaluate` reads what the script sets where it is run by name
    train.main(asked)
    return {**clock.read(), "accuracy": found[-1] / 100}


def timm(given: dict[str, Any]) -> dict[str, float]:
    """Run timm's train.py, the file `script`, with one worker, since it takes no fewer."""
    import timm.models

    def contestant(pretrained: bool = False, num_classes: int = 2, **_: object) -> nn.Module:
        built = network(num_classes)
        built.num_classes, built.default_cfg = num_classes, {"input_size": (3, given["size"], given["size"])}
        return built

    contestant.__module__ = "timm.models.efficientnet"
    timm.models.register_model(contestant)
    script = runpy.run_path(given["script"], run_name="timm_script")
    clock, names = Clock(), script["main"].__globals__
    names["train_one_epoch"] = started_at(names["train_one_epoch"], clock)
    size = str(given["size"])
    sys.argv[1:] = [
        *("--data-dir", given["pictures"], "--model", "contestant", "--device", "cpu", "--workers", "1"),
        *("--train-split", "train", "--val-split", "val", "--num-classes", str(given["classes"])),
        *("--batch-size", str(given["batch"]), "--epochs", str(given["epochs"]), "--opt", "adamw"),
        *("--lr", str(given["rate"]), "--weight-decay", "0.05", "--sched", "cosine", "--warmup-epochs", "0"),
        *("--input-size", "3", size, size, "--output", given["out"], "--experiment", "run", "--smoothing", "0.1"),
    ]
    script["main"]()
    took = clock.read()
    rows = list(csv.DictReader((Path(given["out"]) / "run" / "summary.csv").open()))
    return {**took, "accuracy": float(rows[-1]["eval_top1"]) / 100}


def ours(given: dict[str, Any]) -> dict[str, float]:
    """Train as `rarefault train` does: pictures decoded into the frame cache, then `training.finetune.fit` on it."""
    from benchmarks.training_ours import Ours

    clock = Clock()
    training = Ours.of(given)
    clock.start()
    frames = training.frames()
    decoded = clock.read()
    clock.start()
    accuracy = training.fit(frames)
    trained = clock.read()
    whole = {f"cached_{name}": value for name, value in trained.items()}
    return {**{name: decoded[name] + trained[name] for name in trained}, **whole, "accuracy": accuracy}


def main() -> None:
    """Run the contestant that the first argument names."""
    contestant, given = sys.argv[1], json.loads(sys.argv[2])
    torch.set_num_threads(1)
    found = {"ours": ours, "torchvision": torchvision, "timm": timm}[contestant](given)
    print(f"\n{json.dumps(found)}", flush=True)


if __name__ == "__main__":
    main()
