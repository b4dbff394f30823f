"""`retention_days`: pictures, scores and archives are deleted once they are so old, by a clock that cannot jump."""
