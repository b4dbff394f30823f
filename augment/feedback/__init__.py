"""What comes back from stations: signed archives of judgements become records of a run."""
