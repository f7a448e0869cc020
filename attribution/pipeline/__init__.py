"""An experiment becomes an outcome, and its folder."""
