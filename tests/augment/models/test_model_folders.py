"""Where models come from: embedded, local folder or hub; pins, pickles and machines without a network."""

import os
import subprocess
import sys

import pytest

from augment.models.model_folders import EMBEDDED, find_model, folder_digest
from augment.presets import PRESETS
from edge_runtime.bundle.errors import InputError
from tests.support import published_layout


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
