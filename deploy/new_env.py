"""Makes .env of .env.example, with a random value for every password and key in it."""

import base64
import os
import re
import secrets
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def filled(example: str) -> str:
    """The text of .env.example with its empty passwords, keys, secrets and tokens filled in."""
    return re.sub(
        r"^(\w+(?:PASSWORD|KEY|SECRET|API_TOKEN))=$",
        lambda line: f"{line[1]}={_random(line[1])}",
        example,
        flags=re.MULTILINE,
    )


def _random(name: str) -> str:
    if name == "AIRFLOW_FERNET_KEY":  # 32 bytes, and nothing else will do
        return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    return secrets.token_urlsafe(48)


def main() -> int:
    """Write .env, which only its owner can read; never over one that is there."""
    try:
        file = os.open(ROOT / ".env", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        print(".env is there already; its passwords are in use, so it stays", file=sys.stderr)
        return 1
    with os.fdopen(file, "w") as out:
        out.write(filled((ROOT / ".env.example").read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
