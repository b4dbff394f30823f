"""The nine stages, one file each: `run(settings, folder[, models]) -> Document`."""
