"""Arrays in, arrays out: the numbers of the project, knowing nothing of tables, models or files."""
