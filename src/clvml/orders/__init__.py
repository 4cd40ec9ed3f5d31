"""A log of orders: read where it lies, checked, and made into the tables that everything else works on."""
