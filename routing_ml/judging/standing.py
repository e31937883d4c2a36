"""The versions that may replace the one in use."""

from routing_ml.store import Store


def challengers(store: Store) -> list[str]:
    """The versions that may replace the one in use, and so propose for each new item."""
    return []
