"""Trees and the boosting of them, as flat arrays."""
