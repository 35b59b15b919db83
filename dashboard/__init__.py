"""The dashboard: pages over the artifacts that the stages in `core` wrote."""
