"""Models that caption, write, paint and embed, and what works on their pictures without a network."""
