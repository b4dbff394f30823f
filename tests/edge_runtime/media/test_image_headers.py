"""What the first bytes of an image file say, whole or cut off."""

import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.media.image_files import decode_image
from tests.support.pictures import RED, picture, pillow_bytes


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WebP", "TIFF"])
def test_any_cut_of_the_header_is_a_sentence(kind):
    data = pillow_bytes(picture(RED), kind)
    for length in range(1, 64):
        with pytest.raises(InputError, match=r"damaged|no image"):
            decode_image(data[:length])
