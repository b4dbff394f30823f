"""Messages of the decoder: caught, told once, and standard error is as before."""

import os

from edge_runtime.media.decoder_messages import caught_messages, tell_interlaced


def test_what_is_said_counts_once_and_standard_error_comes_back(capfd):
    with caught_messages() as messages:
        assert not tell_interlaced(messages)
        for said, told in ((b"cannot decode rtsp://user:secret@cam", False), (b"Cannot convert interlaced to", True)):
            os.write(2, said)
            assert tell_interlaced(messages) is told
            assert not tell_interlaced(messages)
            assert os.fstat(messages.fileno()).st_size == 0
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"
