"""Measures, statistical tests and comparison tables for the dashboard and the command line."""
