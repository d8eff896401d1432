"""Recording: a container at work, its probes, and the trace of what it touched."""
