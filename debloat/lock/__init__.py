"""The lock: the minimal image as a text in git, compared with and applied to later builds."""
