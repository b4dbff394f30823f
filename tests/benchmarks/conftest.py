"""The packed network that these tests share."""

from tests.support.packed_network import (
    _one_thread,
    checkpoint,
    evidence,
    held_out,
    network,
    packed,
    rule,
    spatial_packed,
)

__all__ = ["_one_thread", "checkpoint", "evidence", "held_out", "network", "packed", "rule", "spatial_packed"]
