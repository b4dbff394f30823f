"""`edge-classify`: paths to inputs, inputs to results."""
