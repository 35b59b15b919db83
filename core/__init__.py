"""RankScope's pipeline: collection -> models -> vectors -> runs -> measures."""

__version__ = "0.1.0"
