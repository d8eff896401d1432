"""The command line: the verbs, their options, and what each does."""
