"""The views of the Topic page."""
