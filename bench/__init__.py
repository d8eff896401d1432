"""The benchmarks: does a minimal image do what it was never traced doing, and what does making one cost.

`python -m bench` runs what a table in a few minutes needs; each subject runs by its name as well.
"""
