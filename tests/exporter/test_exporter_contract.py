"""The OpenAPI document against the running exporter: a fuzzer finds it true."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from exporter_process import serving
from test_exporter import fill

from routing_ml.settings import default_url

EXAMPLES = 40
TOKEN = "t0ken"


@pytest.mark.parametrize("damaged", [False, True])
def test_a_fuzzer_finds_the_openapi_document_true(tmp_path: Path, damaged: bool) -> None:
    """Authentication is left out and faked too. With a damaged store 503 is the true answer."""
    if damaged:
        (tmp_path / "store.db").write_bytes(b"damaged" * 1000)
    else:
        fill(default_url(tmp_path))
    with serving(tmp_path, ROUTING_ML_API_TOKEN=TOKEN) as exporter:
        done = subprocess.run(
            [
                *(sys.executable, "-P", "-m", "schemathesis.cli", "run"),
                f"{exporter.url}/openapi.json",
                *("--checks", "all", "--max-examples", str(EXAMPLES), "--seed", "1"),
                *("--header", f"Authorization: Bearer {TOKEN}"),
                *(("--exclude-checks", "not_a_server_error") if damaged else ()),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert exporter.ask("/api/health").status == 200
