"""Model tests: random programs, and the laws that hold whatever happens to them."""
