"""Renderers over finished values; nothing imports them but the command line."""
