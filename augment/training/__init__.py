"""Training of the classifier and of adapters."""
