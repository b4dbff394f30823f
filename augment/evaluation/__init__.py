"""Arithmetic of the comparison: metrics, intervals, label checks, tables."""
