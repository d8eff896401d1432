"""The engine inside debloat itself."""
