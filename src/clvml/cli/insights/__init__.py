"""clvml insights: the commands, and the jobs behind them."""
