"""`edge-station`: settings, the service's loop, its commands and its status page."""
