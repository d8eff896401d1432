"""Static reachability for Perl."""
