"""The formulas: arrays in, arrays out; numpy and scipy only. A module is a model: all export the same names."""
