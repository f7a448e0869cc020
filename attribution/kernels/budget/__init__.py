"""Response curves and the division of a sum among them."""
