"""What was recorded: each access as evidence, and sweeps that walk a tree without using it."""
