"""Many images with one command: what is to be made of each, who carries it out, and what came of it."""
