"""The formulas: pure functions of arrays, numpy and scipy only. Each lives here and nowhere else."""
