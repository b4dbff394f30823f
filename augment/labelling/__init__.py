"""`rarefault label`: in which order pictures are shown to a person, and what becomes of the answers."""
