"""Arithmetic of the comparison: metrics, intervals, what a score rests on, label checks, tables."""
