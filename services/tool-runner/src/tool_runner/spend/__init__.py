"""Spend: one total in USD for each UTC day, of all workers."""
