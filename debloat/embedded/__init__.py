"""An engine inside debloat itself: layers on disk, overlay mounts, and an OCI runtime of the distribution; no daemon."""
