"""Behaviours of workflows: their life, children, and control from outside."""
