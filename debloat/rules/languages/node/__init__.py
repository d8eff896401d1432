"""Static reachability for Node: which modules, packages and programs kept JavaScript can reach.

`source` reads one file's text, `packages` says where a name leads and what of a package may run, `rules` makes
claims of them. An application's own files are kept by the rule for applications.
"""
