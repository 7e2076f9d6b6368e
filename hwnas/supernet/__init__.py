"""Supernets: elastic networks trained once, the plain subnets taken out of them, and how accurate those are."""
