"""Static reachability for Java: the parts of a runtime image, and what class files name."""
