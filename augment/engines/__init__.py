"""How the work of a stage is spread: batch after batch in this process, or over the workers of a Ray cluster."""
