"""ELF files: facts, the search order of ld.so(8), and an independent audit."""
