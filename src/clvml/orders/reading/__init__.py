"""What a log may come as, what its columns become, and the rules that its rows must meet."""
