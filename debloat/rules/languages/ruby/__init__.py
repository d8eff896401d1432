"""Static reachability for Ruby."""
