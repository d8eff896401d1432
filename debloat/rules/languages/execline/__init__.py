"""The execline language of s6 and its relatives."""
