"""Where images come from, which of them are copies, and on which side of the split each stands."""
