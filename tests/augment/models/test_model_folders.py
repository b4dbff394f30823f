"""Where models come from: embedded, local folder or hub; pins, pickles and machines without a network."""

import os
import subprocess
import sys

import pytest
import torch

from augment.models.model_folders import EMBEDDED, find_model, folder_digest, in_halves
from augment.presets import PRESETS
from edge_runtime.bundle.errors import InputError
from tests.support import model_hub, published_layout


def local_model(folder):
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_mini_is_the_embedded_folder_and_is_named_by_its_digest():
    found = find_model("mini", "gpt2")
    assert found.path == EMBEDDED / "gpt2"
    assert found.identity == {"name": "mini/gpt2", "sha256": folder_digest(EMBEDDED / "gpt2")}


def test_a_digest_depends_on_names_and_contents_and_not_on_the_place(tmp_path):
    one, two = local_model(tmp_path / "one"), local_model(tmp_path / "two")
    assert folder_digest(one) == folder_digest(two)
    (two / "config.json").write_text("{ }")
    assert folder_digest(one) != folder_digest(two)


def test_a_pinned_folder_must_be_the_approved_one(tmp_path):
    folder = local_model(tmp_path / "model")
    assert find_model(str(folder), "gpt2", sha256=folder_digest(folder)).path == folder
    with pytest.raises(InputError, match="the settings pin 00"):
        find_model(str(folder), "gpt2", sha256="00")


def test_a_folder_without_safetensors_is_refused_and_its_pickle_left_alone(tmp_path):
    folder = local_model(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"no \.safetensors file"):
        find_model(str(folder), "gpt2")


def test_a_hub_model_without_a_network_is_one_sentence():
    probe = (
        "from augment.models.model_folders import find_model\n"
        "from edge_runtime.bundle.errors import UnavailableError\n"
        "for name, kind in (('gpt2-of-nobody', 'gpt2'), ('nobody/no-diffusion', 'stable-diffusion')):\n"
        "    try:\n"
        "        find_model(name, kind)\n"
        "    except UnavailableError as error:\n"
        "        print(error)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", probe], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2
    assert all("could not be downloaded" in line for line in done.stdout.splitlines())


def test_blip_as_published_is_a_pickle_and_the_error_says_what_to_do(tmp_path, monkeypatch):
    folder = published_layout.write_blip_as_published(tmp_path / "blip")
    with pytest.raises(InputError, match="save_pretrained"):
        find_model(str(folder), "blip")
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *names, **options: str(folder))
    with pytest.raises(InputError, match="save_pretrained"):
        find_model(PRESETS["sd21"].caption.model, "blip")


def test_a_hub_gives_the_revision_that_was_asked_for_or_says_what_to_do(tmp_path):
    """By the hub's own client, from a hub on the loopback interface."""
    commit, folder = "a" * 40, published_layout.write_gpt2(tmp_path / "gpt2")
    asked = [("own/gpt2", commit), ("own/gpt2", "b" * 40), ("own/gated", ""), ("own/unknown", "")]
    probe = (
        "from augment.models.model_folders import find_model\n"
        "from edge_runtime.bundle.errors import UnavailableError\n"
        f"for name, revision in {asked}:\n"
        "    try:\n"
        "        print(find_model(name, 'gpt2', '', revision).identity['revision'])\n"
        "    except UnavailableError as error:\n"
        "        print(error)\n"
    )
    with model_hub.serve({"own/gpt2": (commit, folder), "own/gated": (commit, folder)}, ("own/gated",)) as address:
        environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
        done = subprocess.run(
            [sys.executable, "-c", probe], env=environment, capture_output=True, text=True, check=True
        )
    found, gone, gated, unknown = done.stdout.splitlines()
    assert found == commit
    assert "does not hold that revision" in gone
    assert "ask for consent" in gated
    assert "no such model" in unknown
    assert not list((tmp_path / "home").rglob("pytorch_model.bin"))


def test_what_a_gpu_does_not_hold_at_once_is_made_in_halves_in_order():
    sizes = []

    def at_most_two(items):
        sizes.append(len(items))
        if len(items) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [item * 10 for item in items]

    assert in_halves(at_most_two, range(5)) == [0, 10, 20, 30, 40]
    assert sizes == [5, 2, 3, 1, 2]


def test_a_single_item_that_does_not_fit_and_any_other_failure_are_told():
    def never(items):
        raise torch.OutOfMemoryError("CUDA out of memory")

    def wrong(items):
        raise RuntimeError("shapes do not fit")

    with pytest.raises(torch.OutOfMemoryError):
        in_halves(never, [1, 2])
    with pytest.raises(RuntimeError, match="shapes"):
        in_halves(wrong, [1, 2])
