"""Conversations with servers that speak another protocol than HTTP: one module a protocol, `table.py` has them all."""
