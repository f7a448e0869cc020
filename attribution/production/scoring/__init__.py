"""The scoring job: credit of new conversions, a file per day."""
