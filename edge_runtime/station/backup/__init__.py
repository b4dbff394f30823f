"""A copy of the state folder in one file, taken beside a running service, and put back on the same or another box."""
