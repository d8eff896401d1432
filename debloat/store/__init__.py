"""Where images lie: archives, OCI layouts, registries, and the stores of engines. Nothing here runs a container."""
