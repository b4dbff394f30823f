"""Pages for people: who may see them, how they look, how they are served. Needs the extra `station` or `field`."""
