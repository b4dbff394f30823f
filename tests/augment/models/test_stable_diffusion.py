"""The embedded painter's text encoder."""

from augment.models.registry import Models
from augment.presets import PRESETS


def test_the_token_budget_counts_what_the_text_encoder_gets():
    budget = Models(PRESETS["mini"]).token_budget
    assert budget.limit == 32
    assert budget.tokens("") == 2
    assert budget.tokens("a photo of a valve") > budget.tokens("a photo")
