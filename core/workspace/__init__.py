"""Where things are and in which state: artifacts, profiles, models by name, downloads, command lines."""
