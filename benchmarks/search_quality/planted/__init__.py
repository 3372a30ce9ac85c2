"""Generated datasets of which it is known beforehand what kind of network must win."""
