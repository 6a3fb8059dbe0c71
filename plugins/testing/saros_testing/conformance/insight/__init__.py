"""What operators can see."""
