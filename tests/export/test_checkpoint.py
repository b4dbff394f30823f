import json

import pytest
import torch

from edge_runtime.bundle.errors import InputError
from export.checkpoint import checkpoint_digest, load_checkpoint, read_card, save_checkpoint
from export.network import normalise
from tests.support.narrow_network import CARD, narrow_network, pictures


def test_what_was_saved_is_loaded(tmp_path):
    network = narrow_network().to(memory_format=torch.channels_last)
    digest = save_checkpoint(tmp_path / "new", network, {**CARD, "weights": "none"})
    loaded, card = load_checkpoint(tmp_path / "new")
    assert not loaded.training
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert (card["schema"], card["schema_version"], card["weights"]) == ("rarefault/model", 1, "none")
    assert digest == checkpoint_digest(tmp_path / "new")
    images = normalise(torch.from_numpy(pictures(2)))
    with torch.inference_mode():
        torch.testing.assert_close(loaded(images), network(images), atol=1e-4, rtol=0)


def test_the_same_weights_give_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        save_checkpoint(tmp_path / name, narrow_network(), CARD)
    for file in ("model.safetensors", "card.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_loading_leaves_the_random_numbers_alone(checkpoint):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    load_checkpoint(checkpoint)
    assert torch.equal(torch.rand(1), expected)


def test_a_save_that_was_interrupted_does_not_load(tmp_path):
    """Between the weights and the card the writer was killed: new weights, old card."""
    save_checkpoint(tmp_path, narrow_network(seed=1), CARD)
    old = (tmp_path / "card.json").read_bytes()
    save_checkpoint(tmp_path, narrow_network(seed=2), CARD)
    (tmp_path / "card.json").write_bytes(old)
    with pytest.raises(InputError, match=r"model.safetensors has SHA-256 .* saving was interrupted"):
        load_checkpoint(tmp_path)


def test_a_card_without_labels_is_refused_before_anything_is_written(tmp_path):
    card = {name: value for name, value in CARD.items() if name != "labels"}
    with pytest.raises(InputError, match="missing: labels"):
        save_checkpoint(tmp_path / "new", narrow_network(), card)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"schema_version": 2}, "version 2, expected rarefault/model version 1"),
        ({"backbone": None}, "backbone None is not known"),
        ({"labels": ["a", "b"]}, "does not fit its card"),
    ],
)
def test_a_card_that_does_not_fit_is_a_sentence(tmp_path, change, sentence):
    save_checkpoint(tmp_path, narrow_network(), CARD)
    path = tmp_path / "card.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InputError, match=sentence):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(("card", "sentence"), [(None, "holds no card.json"), ("{", "is not JSON"), ("[]", "schema")])
def test_a_folder_without_a_whole_card_is_a_sentence(tmp_path, card, sentence):
    if card is not None:
        (tmp_path / "card.json").write_text(card)
    with pytest.raises(InputError, match=sentence):
        read_card(tmp_path)
