import io
import zipfile

import numpy as np
import pytest

from edge_runtime.bundle.zip_errors import ZIP_ERRORS


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_changed_byte_anywhere_in_a_zip_raises_nothing_else(method):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        archive.writestr("words.txt", "north south " * 40 + str(list(range(60))))
        archive.writestr("noise.bin", np.random.default_rng(0).bytes(100))
    whole, seen = target.getvalue(), set()
    for place in range(len(whole)):
        for bit in (1, 128):
            try:
                with zipfile.ZipFile(
                    io.BytesIO(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
                ) as archive:
                    for name in archive.namelist():
                        archive.read(name)
            except ZIP_ERRORS as error:
                seen.add(type(error))
    assert zipfile.BadZipFile in seen
    assert len(seen) > 3
