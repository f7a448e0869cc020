"""How sure a number is: intervals, placebo, stability, and how far results depend on choices."""
