"""How sure parameters, customers and totals are."""
