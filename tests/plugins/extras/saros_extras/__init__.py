"""The example plugin of Saros."""
