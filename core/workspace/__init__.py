"""Artifacts and their state, profiles, models by name, downloads, and what all commands share."""
