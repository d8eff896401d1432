"""The nouns and the small services that every stage uses; imports nothing else of debloat."""
