"""Updates in the running service: a candidate is shadowed, put to work between two frames, watched, kept or undone."""
