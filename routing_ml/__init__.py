"""Routing ML: learns from a factory's routings and proposes one for every new item."""

__version__ = "2.1.0"
