"""`rarefault station-demo`: a whole station on this machine, with rendered cameras whose faults come and go."""
