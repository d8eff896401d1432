"""Profiles that confine a container to what its programs were seen to do, and that still start it."""
