"""Reads one YAML file of plain values, strictly: what cannot be read is one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from routing_ml.errors import SettingError

BYTES_MOST = 1024 * 1024


def load(path: Path) -> Any:
    """What the file holds: mappings, lists, texts, numbers, true, false, None.

    Raises SettingError for a file that cannot be read, is larger than 1 MiB, is no YAML, or has a
    key twice.
    """
    import yaml  # type: ignore[import-untyped]  # here, since 2 MB that most do without

    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # whose base is only there now
        """A key that comes twice is an error, as in the toolkit, not the last one's value."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen: set[str] = set()
            for key, _ in node.value:
                name = key.value if isinstance(key, yaml.ScalarNode) else None
                if name in seen:
                    raise yaml.MarkedYAMLError(problem=f"{name!r} comes twice")
                if name is not None:
                    seen.add(name)
            found: dict[Any, Any] = super().construct_mapping(node, deep)
            return found

    shown = f"the web config file {str(path)!r}"
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MOST + 1)
    except (OSError, ValueError) as error:  # a path with a NUL is a ValueError
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingError(f"{shown} cannot be read: {reason}; correct --web.config.file") from None
    if len(content) > BYTES_MOST:
        raise SettingError(f"{shown} is larger than 1 MiB: that cannot be one; correct it")
    try:
        return yaml.load(content.decode("utf-8"), Loader)  # noqa: S506 - a SafeLoader, above
    # Dates that cannot be are ValueErrors, brackets in brackets without end a RecursionError.
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        text = " ".join(str(error).split())[:300]
        raise SettingError(f"{shown} is no YAML: {text}; correct it") from None
