"""What `make bench` runs; needs a checkout."""
