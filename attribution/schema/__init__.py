"""Tables, experiment files and words, as data."""
