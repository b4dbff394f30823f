"""Cameras: a process for each, its newest frame, and whether its picture is worth judging."""
