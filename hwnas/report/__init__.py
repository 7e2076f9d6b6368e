"""Figures of what was found, from plain numbers."""
