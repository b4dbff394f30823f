"""Times of a night, in hours after midnight, and a ledger entry by them."""

from edge_runtime.clock import Instant

MIDNIGHT = 1_700_000_000.0 - 1_700_000_000.0 % 86400


def at(hours: float, offset: float = 0.0) -> Instant:
    """`hours` after midnight; the monotonic clock began 1000 s before it."""
    return Instant(1000 + hours * 3600, MIDNIGHT + hours * 3600 + offset)


def blind(ledger, camera, cause, began, ended):
    ledger.note({camera: (cause, at(began).monotonic)}, at(began))
    ledger.note({camera: (None, at(ended).monotonic)}, at(ended))
