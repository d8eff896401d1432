"""Shell scripts: the commands that they name, all branches, and the files that they read."""
