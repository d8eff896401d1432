"""Static reachability for Python: which modules, distributions and programs kept Python code can reach.

`source` reads one file's text, `layout` says where an image's Pythons look, `packages` which distribution a file
belongs to, `stdlib` what of the standard library stays, `reach` follows references, `rules` and `programs` make
claims of them.

Bytecode caches are never claimed: what a program read of them is in the trace, and Python does without the rest.
"""
