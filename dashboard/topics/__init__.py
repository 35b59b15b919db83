"""The views of the Topics page."""
