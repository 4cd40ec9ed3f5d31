"""What is looked at: figures."""
