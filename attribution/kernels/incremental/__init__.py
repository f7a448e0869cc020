"""What channels caused, from customers at risk: arrays in, arrays out."""
