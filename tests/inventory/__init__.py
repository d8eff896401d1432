"""Inventories: what an image has, by its own metadata."""
