"""A bundle packed from a narrow network, and its run."""

from tests.support.packed_network import _one_thread, checkpoint, evidence, held_out, network, packed, rule

__all__ = ["_one_thread", "checkpoint", "evidence", "held_out", "network", "packed", "rule"]
