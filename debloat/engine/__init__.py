"""The seam to container engines, and what a run owns on one."""
