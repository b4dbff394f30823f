"""Signed updates of the bundle: from a repository or a stick to a slot that is tried, committed or rolled back."""
