"""The three tokenizers can spell any text, and the captions of the grammar fit."""

import pytest

from augment.mini import words
from augment.mini.scenes import describe, sample_scene


@pytest.mark.parametrize("text", ["a photo of a line_hotspot", "Größe 42 %", "漢字 🙂"])
def test_any_text_tokenises(text):
    assert words.gpt2_tokenizer().decode(words.gpt2_tokenizer().encode(text)) == text
    assert words.clip_tokenizer().decode(words.clip_tokenizer().encode(text), skip_special_tokens=True).replace(
        " ", ""
    ) == text.lower().replace(" ", "")
    assert words.blip_tokenizer().encode(text)


def test_the_longest_captions_fit_the_text_encoder():
    captions = [describe(sample_scene(seed, domain)) for seed in range(1500) for domain in ("catalogue", "station")]
    assert max(len(row) for row in words.clip_tokenizer()(captions)["input_ids"]) <= words.CLIP_LENGTH
