"""One package for each language: what its sources reach."""
