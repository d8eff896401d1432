"""Static reachability for PHP."""
