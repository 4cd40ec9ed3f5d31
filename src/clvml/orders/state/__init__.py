"""What is kept of a log from one night to the next."""
