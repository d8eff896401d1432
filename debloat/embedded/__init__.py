"""An engine inside debloat itself: layers on disk, overlay mounts, the distribution's OCI runtime; no daemon."""
