"""What people would use instead of `edge-classify`: their pinned environments, and a short program for each.

Each program takes a model and pictures and prints one JSON line a picture, `path` and `label`, as soon as it has the
result. It runs under the interpreter of its environment, so it imports nothing of ours.
"""
