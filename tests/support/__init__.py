"""What several rooms of tests share: CDNOW as published, small simulated logs, a Spark session."""
