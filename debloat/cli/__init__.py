"""The command line: what can be said, and what each verb does."""
