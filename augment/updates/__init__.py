"""Signed model updates, the central team's side: keys, the repository that stations read, releases, USB sticks."""
