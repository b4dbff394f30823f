"""The contract between the central team and the edge: manifest, labels, preprocessing, decision rule, verification."""
