"""Admission: how many calls of one number are open and were taken today."""
