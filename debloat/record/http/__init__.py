"""Requests over HTTP, and what is found by them."""
