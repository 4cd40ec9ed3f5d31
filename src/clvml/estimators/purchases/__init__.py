"""Models of repeat purchases as estimators."""
