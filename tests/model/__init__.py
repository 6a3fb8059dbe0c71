"""Model tests: random programs, and laws that hold no matter what happens to them."""
