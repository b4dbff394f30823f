"""Pictures in and out: image files, video files, heat maps."""
