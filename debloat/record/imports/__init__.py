"""Traces of other tools: which path was used is read out of them, and becomes a trace of debloat's own."""
