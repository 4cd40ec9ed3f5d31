"""What the log's own past teaches: corrections of BTYD, and the churn classifier."""
