"""The embedded default: a scene renderer, the recipe that trained the mini checkpoints, and the checkpoints."""
