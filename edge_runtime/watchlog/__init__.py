"""What was watched and what was not: the watch state of each camera, the ledger, the night's report."""
