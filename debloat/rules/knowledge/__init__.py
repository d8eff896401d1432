"""Knowledge of Debian: families of files that belong together, plug-in directories, tools."""
