"""The captioner on a checkpoint laid out as the published one."""

from augment.models.registry import Models


def test_blip_starts_its_decoder_with_the_published_begin_token(published, published_settings):
    model = Models(published_settings).captioner.model
    assert model.config.text_config.bos_token_id == 30522
    assert model.config.vision_config.image_size == 384
    assert model.decoder_input_ids == 30522
