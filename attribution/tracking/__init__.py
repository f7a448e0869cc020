"""MLflow, and only here: runs, registered models and their store."""
