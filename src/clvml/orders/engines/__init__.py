"""Where the statements of a log run: an embedded DuckDB, or Spark."""
