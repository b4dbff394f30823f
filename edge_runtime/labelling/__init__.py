"""Labels and boxes that a person gives in a browser: the journal of answers, proposals from a model's map, the page."""
