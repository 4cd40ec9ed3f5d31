"""Who is about to leave: by own gaps, season, and what earlier days of the log showed; whose spend falls."""
