"""What follows from credit and returns: verdicts, funnel, diagnosis, KPIs, budget, comparison."""
