"""What runs every night: scoring, refit, monitoring, promotion, SQL."""
