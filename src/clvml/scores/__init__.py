"""A trained model and a log make Scores: one row a customer, in memory, streamed or on Spark."""
