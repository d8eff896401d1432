"""The dpkg database: read as it is, and pruned truthfully."""
