"""Placeholder until its stage lands."""
