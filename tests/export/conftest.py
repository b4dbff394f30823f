"""The packed network that these tests share."""

from tests.support.packed_network import *  # noqa: F403
