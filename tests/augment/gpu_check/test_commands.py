"""`rarefault check-gpu`: the same measurements on the processor, and what it says where there is no GPU.

Tests marked `gpu` run it on one.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from augment.cli import main
from augment.presets import PRESETS
from augment.settings import DataSettings, Settings, write_settings
from tests.support import ROOT

DEMO = ROOT / "augment" / "station_demo"  # packed, with golden frames; its checkpoint is not in the package


def quick_settings() -> Settings:
    mini = PRESETS["mini"]
    return replace(
        mini,
        data=DataSettings(source=str(Path(__file__).parent), faults=("valve_leaking",)),
        caption=replace(mini.caption, batch_size=2, max_new_tokens=6),
        refine=replace(mini.refine, attempts=4, max_new_tokens=6),
        generate=replace(mini.generate, batch_size=2, steps=2),
        train=replace(mini.train, batch_size=4, size=32, width=8, steps=2),
    )


def checked(out: Path, device: str) -> tuple[int, dict, str, str]:
    """Exit code, JSON, page and what was printed."""
    write_settings(quick_settings(), out / "pipeline.toml")
    command = ["check-gpu", "--bundle", str(DEMO / "bundle"), "--pipeline", str(out / "pipeline.toml")]
    done = CliRunner().invoke(main, [*command, "--out", str(out / "found"), "--device", device])
    found, page = (out / "found" / f"check-gpu.{kind}" for kind in ("json", "html"))
    assert found.exists(), done.output
    return done.exit_code, json.loads(found.read_text()), page.read_text(), done.output


def test_on_the_processor_everything_is_measured_and_agrees(tmp_path):
    code, found, page, said = checked(tmp_path, "cpu")
    assert (code, found["device"]) == (0, "cpu"), said
    tried = {f"{engine['engine']} {engine['precision']}" for engine in found["engines"]}
    assert "cpu fp32" in tried
    assert "holds no checkpoint" in found["notes"][0]
    assert all(engine["agrees"] and engine["per_second"] > 0 for engine in found["engines"])
    assert [one["passed"] for one in found["arithmetic"]] == [True] * 5
    stages = {(stage["stage"], stage["precision"]): stage for stage in found["stages"]}
    names = ("caption", "refine", "generate", "train")
    assert list(stages) == [(name, precision) for name in names for precision in ("fp32", "fp16")]
    assert all(stage["per_second"] > 0 and not stage["problem"] for stage in stages.values())
    assert all(stages[name, "fp16"]["difference"] for name in names)
    assert "nothing of a GPU is shown by that" in page
    assert "cpu fp32" in page


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_what_is_missing_and_leaves_with_three(tmp_path):
    code, found, page, said = checked(tmp_path, "auto")
    assert code == 3
    assert "no NVIDIA driver here" in said or "torch" in said
    assert found["missing"] in said
    assert (found["engines"], found["stages"]) == ([], [])
    assert found["packages"]["torch"].startswith(torch.__version__.partition("+")[0])
    assert "no GPU" in page
    assert "engines that agree" not in page  # figures of nothing


@pytest.mark.gpu
def test_on_a_gpu_every_engine_and_stage_is_as_it_must_be(tmp_path):
    code, found, _, said = checked(tmp_path, "cuda")
    assert code == 0, said
    assert all(stage["memory"] > 0 for stage in found["stages"])
