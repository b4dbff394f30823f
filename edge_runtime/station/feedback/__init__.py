"""The way back: what persons judged, and frames to learn from, leave for central."""
