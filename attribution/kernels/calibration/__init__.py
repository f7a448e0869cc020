"""What channels caused, by credit and tests together: exact sums over cells, no sampling."""
