"""What a station or a technician's laptop runs: the bundle contract, engines, `edge-classify`, `edge-station`."""
