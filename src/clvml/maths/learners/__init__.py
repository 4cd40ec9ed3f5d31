"""Learners as plain arrays: penalised generalised linear models and boosted trees."""
