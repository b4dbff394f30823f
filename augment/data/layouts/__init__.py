"""How sources are laid out: what their folders, lists and manifests say about each picture."""
