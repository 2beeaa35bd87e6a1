"""Turns that are made in stages."""
