"""A shopkeeper's questions: what sets the best apart, who earns and who costs, which channels pay, how value moves."""
