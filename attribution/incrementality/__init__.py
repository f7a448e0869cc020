"""What channels caused, as far as experiments tell."""
