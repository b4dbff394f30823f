"""`rarefault check-gpu`: whether this machine's GPU does what a run needs of it, and how fast."""
