"""Was it right: backtests, and past scores against what happened since."""
