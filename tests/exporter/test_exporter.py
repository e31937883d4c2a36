"""The exporter as a real process: what it answers, and what cannot take it down.

How soon it answers while all of that goes on, and how much memory it takes, is measured in
benchmarks/exporter.py and benchmarks/scrape.py: here a limit in seconds is patience only.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from exporter_process import ROOT, Exporter, command, environment, memory_mib, serving
from postgresql import PostgreSQL, running
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from routing_ml.drift.detector import Baseline
from routing_ml.drift.watch import evaluate
from routing_ml.settings import default_url
from routing_ml.store.store import Store

PATIENCE_SECONDS = 60
FIRST_VERSION = (
    "routing_ml_uptime_seconds",
    "routing_ml_requests_total",
    "routing_ml_errors_total",
    "routing_ml_predictions_total",
    "routing_ml_prediction_latency_avg",
    "routing_ml_drift_kl_divergence",
)


def fill(url: str) -> None:
    """A store as a month of work leaves it."""
    rng = np.random.default_rng(1)
    store = Store(url)
    scores = rng.beta(6, 4, 300)
    store.record_predictions(
        [f"I{i}" for i in range(300)], scores, np.linspace(0, 1, 300), model="m1", seconds=3.0
    )
    evaluate(store, "m1", Baseline.fit(rng.beta(8, 2, 2000)), day=date.today())
    store.record_run("r1", succeeded=True, seconds=62.5, ended_at=1.7e9, promoted=True)
    store.record_run("r2", succeeded=False, seconds=12.5, ended_at=1.8e9)
    store.record_model("m1", created_at=1.7e9, metrics={"exact_match": 0.91, "items": 360})
    store.record_audit(
        {"items": {"MATERIAL": 0.25}}, outliers={"OUTDIAMETER": 4}, rows={"items": 2400}
    )
    columns = [("duplicates", "items alike", "items", "ITEM_CD", 3)]
    store.record_quality({"duplicates": 3, "units": 0}, columns=columns, worse=2, at=1.79e9)
    store.record_quality_run(succeeded=False, at=1.8e9)
    store.record_source_read("default", as_of=1.7e9)
    store.record_source_away("plant2", at=1.75e9)
    store.close()


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """An exporter over a filled store, with a token."""
    home = tmp_path_factory.mktemp("full")
    fill(default_url(home))
    with serving(home, ROUTING_ML_API_TOKEN="t0ken") as exporter:
        yield exporter


# What it answers ----------------------------------------------------------------------------------


def test_health_has_the_first_versions_shape(full: Exporter) -> None:
    health = json.loads(full.ask("/api/health").text)
    assert set(health) == {"status", "version", "uptime_seconds", "timestamp"}
    assert health["status"] == "healthy"
    assert abs(datetime.fromisoformat(health["timestamp"]).timestamp() - time.time()) < 5


@pytest.mark.parametrize("path", ["/metrics", "/api/metrics"])
def test_metrics_are_prometheus_text_with_the_first_versions_names(
    full: Exporter, path: str
) -> None:
    reply = full.ask(path)
    assert reply.headers["content-type"].startswith("text/plain")
    values = {s.name: s.value for family in prometheus(reply.text) for s in family.samples}
    assert set(FIRST_VERSION) <= set(values)
    assert values["routing_ml_predictions_total"] == 300
    assert values["routing_ml_prediction_latency_avg"] == pytest.approx(0.01)
    assert values["routing_ml_drift_kl_divergence"] > 0.3


def test_openmetrics_is_given_to_who_asks_for_it(full: Exporter) -> None:
    reply = full.ask("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})
    assert reply.headers["content-type"].startswith("application/openmetrics-text")
    names = {family.name for family in openmetrics(reply.text)}
    assert {"routing_ml_predictions", "routing_ml_prediction_latency_seconds"} <= names


def test_every_figure_of_the_store_is_shown(full: Exporter) -> None:
    text = full.ask("/metrics").text
    for line in (
        "routing_ml_up 1.0",
        'routing_ml_proposals_total{confidence="high"} 60.0',
        'routing_ml_prediction_latency_seconds_bucket{le="0.01"} 300.0',
        "routing_ml_prediction_latency_seconds_count 300.0",
        "routing_ml_drift_detected 1.0",
        "routing_ml_drift_day_verdicts 1.0",
        "routing_ml_model_accuracy 0.91",
        "routing_ml_retrain_last_success 0.0",
        "routing_ml_retrain_last_duration_seconds 12.5",
        "routing_ml_retrain_last_timestamp_seconds 1.8e+09",
        "routing_ml_retrain_last_success_timestamp_seconds 1.7e+09",
        "routing_ml_retrain_success_ratio 0.5",
        'routing_ml_retrain_runs_total{outcome="failure"} 1.0',
        'routing_ml_null_ratio{column="MATERIAL",table="items"} 0.25',
        'routing_ml_outliers{column="OUTDIAMETER"} 4.0',
    ):
        assert line in text.splitlines(), line
    assert re.search(r'^routing_ml_build_info\{.*version="', text, re.MULTILINE)
    severities = re.findall(r'severity\{severity="(\w+)"\} (\S+)', text)
    assert sum(float(value) for _, value in severities) == 1


def test_key_figures_are_shown_as_the_store_counts_them(tmp_path: Path) -> None:
    today = date.today()
    with contextlib.closing(Store(default_url(tmp_path))) as store:
        store.note_alarm(watch="m1", on=True, advised=True, day=today, at=1e9)
        store.record_run("r1", succeeded=True, seconds=1, ended_at=1e9, started_by="drift")
        store.judge_alarm("r1", better=True, promoted=True, as_of=1e9, at=1e9 + 7200)
        store.record_run("r2", succeeded=False, seconds=1, ended_at=2e9, started_by="hand")
        store.count_switch("s1", action="rollback", at=3e9)
        store.note_alarm(watch="m2", on=True, advised=False, day=today, at=4e9)
        with serving(tmp_path) as exporter:
            text = exporter.ask("/metrics").text
            assert "routing_ml_drift_advised_timestamp_seconds" not in text
            for line in (
                'routing_ml_retrain_ended_total{cause="drift",outcome="success"} 1.0',
                'routing_ml_retrain_ended_total{cause="hand",outcome="failure"} 1.0',
                'routing_ml_retrain_ended_total{cause="schedule",outcome="success"} 0.0',
                "routing_ml_retrain_unattended_total 1.0",
                'routing_ml_hands_total{action="trigger"} 1.0',
                'routing_ml_hands_total{action="rollback"} 1.0',
                'routing_ml_drift_alarms_total{outcome="confirmed"} 1.0',
                'routing_ml_drift_alarms_total{outcome="false"} 0.0',
                'routing_ml_drift_response_seconds_bucket{le="3600.0",since="advice"} 0.0',
                'routing_ml_drift_response_seconds_bucket{le="21600.0",since="advice"} 1.0',
                'routing_ml_drift_response_seconds_count{since="alarm"} 1.0',
                'routing_ml_drift_response_seconds_sum{since="alarm"} 7200.0',
            ):
                assert line in text.splitlines()
            store.note_alarm(watch="m2", on=True, advised=True, day=today, at=5e9)
            shown = "routing_ml_drift_advised_timestamp_seconds 5e+09"
            end = time.monotonic() + PATIENCE_SECONDS
            while shown not in exporter.ask("/metrics").text.splitlines():
                assert time.monotonic() < end
                time.sleep(0.1)


def test_promtool_finds_no_fault_with_names_and_types(full: Exporter) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing: apt-get install prometheus"
    text = full.ask("/metrics").text
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_json_says_what_the_text_says(full: Exporter) -> None:
    value = json.loads(full.ask("/api/metrics/json").text)
    assert value["predictions_total"] == 300 and value["up"] is True
    samples = {(s["name"], *sorted(s["labels"].items())): s["value"] for s in value["samples"]}
    assert samples["routing_ml_null_ratio", ("column", "MATERIAL"), ("table", "items")] == 0.25


def test_drift_status_has_the_first_versions_shape(full: Exporter) -> None:
    status = json.loads(full.ask("/api/drift/status").text)
    assert {
        *("drift_detected", "kl_divergence", "threshold", "buffer_size", "buffer_mean"),
        *("buffer_std", "should_retrain", "p_value", "severity"),
    } <= set(status)
    assert status["drift_detected"] is True and status["buffer_size"] == 300


def test_drift_summary_has_the_first_versions_shape(full: Exporter) -> None:
    summary = json.loads(full.ask("/api/drift/summary?days=3").text)
    assert set(summary) == {
        *("period_days", "drift_count", "max_kl_divergence", "avg_kl_divergence"),
        *("should_retrain", "events"),
    }
    assert (summary["period_days"], summary["drift_count"]) == (3, 1)
    assert json.loads(full.ask("/api/drift/summary").text)["period_days"] == 7


def test_todays_verdict_is_that_of_the_factorys_day_wherever_the_machine_is(tmp_path: Path) -> None:
    here = datetime.now(ZoneInfo("Pacific/Kiritimati")).date()  # a day ahead of Pago Pago
    store = Store(default_url(tmp_path))
    scores = [0.1] * 100
    store.record_predictions([f"I{i}" for i in range(100)], scores, scores, model="m1", seconds=1.0)
    evaluate(store, "m1", Baseline.fit(np.random.default_rng(1).beta(8, 2, 500)), day=here)
    store.close()
    zones = {"TZ": "Pacific/Pago_Pago", "ROUTING_ML_TIMEZONE": "Pacific/Kiritimati"}
    with serving(tmp_path, **zones) as exporter:
        summary = json.loads(exporter.ask("/api/drift/summary?days=1").text)
    assert [event["day"] for event in summary["events"]] == [here.isoformat()]


@pytest.mark.parametrize("days", ["0", "367", "-1", "x", "1.5", "", "٣", "1&days=2", "99999999999"])
def test_a_period_that_cannot_be_is_refused(full: Exporter, days: str) -> None:
    from urllib.parse import quote

    reply = full.ask(f"/api/drift/summary?days={quote(days, safe='&=')}")
    assert reply.status == 400
    assert "days must be one whole number from 1 to 366" in reply.text


def test_the_start_page_names_every_path_and_asks_for_nothing(full: Exporter) -> None:
    reply = full.ask("/")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    paths = json.loads(full.ask("/openapi.json").text)["paths"]
    for path, methods in paths.items():
        if path == "/":
            continue
        shown = f'<a href="{path[1:]}">{path}</a>' if "get" in methods else f">POST {path}<"
        assert shown in reply.text
        assert all(said["summary"] in reply.text for said in methods.values())
    assert "<script" not in reply.text and "http:" not in reply.text
    assert "default-src 'none'" in reply.text
    assert (full.ask("/", method="HEAD").status, full.ask("/", method="POST").status) == (200, 405)


def test_unknown_paths_and_methods_are_told(full: Exporter) -> None:
    assert full.ask("/nothing").status == 404
    wrong = full.ask("/metrics", method="DELETE")
    assert (wrong.status, wrong.headers["allow"]) == (405, "GET, HEAD")
    assert full.ask("/api/drift/reset").headers["allow"] == "POST"
    head = full.ask("/metrics", method="HEAD")
    assert (head.status, head.text) == (200, "") and int(head.headers["content-length"]) > 1000


def test_requests_and_failures_are_counted(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"damaged" * 1000)
    with serving(tmp_path) as exporter:
        assert exporter.ask("/api/drift/status").status == 503
        assert exporter.ask("/").status == 200
        exporter.ask("/api/health")
        exporter.wait_for("routing_ml_errors_total", 1)
        assert exporter.value("routing_ml_requests_total") == 3


# Changing something -------------------------------------------------------------------------------


def test_a_reset_needs_the_token(tmp_path: Path) -> None:
    fill(default_url(tmp_path))
    with serving(tmp_path, ROUTING_ML_API_TOKEN="t0ken") as exporter:
        for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "t0ken"}):
            reply = exporter.ask("/api/drift/reset", method="POST", headers=header)
            assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
        assert json.loads(exporter.ask("/api/drift/status").text)["drift_detected"]
        done = exporter.ask(
            "/api/drift/reset", method="POST", headers={"Authorization": "Bearer t0ken"}
        )
        assert done.status == 200 and set(json.loads(done.text)) == {"message"}
        assert not json.loads(exporter.ask("/api/drift/status").text)["drift_detected"]
        exporter.wait_for("routing_ml_drift_detected", 0)


def test_without_a_configured_token_nothing_can_be_changed(tmp_path: Path) -> None:
    with serving(tmp_path) as exporter:
        for header in ({}, {"Authorization": "Bearer "}):
            reply = exporter.ask("/api/drift/reset", method="POST", headers=header)
            assert reply.status == 403 and "ROUTING_ML_API_TOKEN" in reply.text


# The store in trouble -----------------------------------------------------------------------------


def up(exporter: Exporter, value: int) -> None:
    """Scrape until `routing_ml_up` has this value; every scrape on the way must be answered."""
    exporter.wait_for("routing_ml_up", value)


def test_a_store_that_is_missing_comes_and_goes_without_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path) as exporter:
        up(exporter, 0)
        assert json.loads(exporter.ask("/api/drift/status").text)["buffer_size"] == 0
        assert json.loads(exporter.ask("/api/drift/summary?days=5").text)["period_days"] == 5
        assert not (tmp_path / "store.db").exists()
        fill(default_url(tmp_path))
        up(exporter, 1)
        for file in tmp_path.glob("store.db*"):
            file.unlink()
        up(exporter, 0)
        assert exporter.value("routing_ml_predictions_total") is None
        fill(default_url(tmp_path))
        up(exporter, 1)


def test_a_corrupt_store_is_told_and_recovers(tmp_path: Path) -> None:
    fill(default_url(tmp_path))
    path = tmp_path / "store.db"
    good = path.read_bytes()
    with serving(tmp_path) as exporter:
        up(exporter, 1)
        for damaged in (b"", b"x" * len(good), good[:1000], good[:4096] + b"\xff" * 20_000):
            path.write_bytes(damaged)
            up(exporter, 0)
            assert exporter.ask("/api/health").status == 200
        path.write_bytes(good)
        for leftover in tmp_path.glob("store.db-*"):
            leftover.unlink()
        up(exporter, 1)


def test_a_locked_store_is_told_and_a_busy_one_is_read(tmp_path: Path) -> None:
    fill(default_url(tmp_path))
    with serving(tmp_path) as exporter:
        writer = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO counters VALUES ('predictions', 'x', 1)")
        up(exporter, 1)
        writer.close()
        writer = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        writer.execute("PRAGMA locking_mode = EXCLUSIVE")
        writer.execute("INSERT INTO counters VALUES ('predictions', 'x', 1)")
        up(exporter, 0)
        end = time.monotonic() + PATIENCE_SECONDS
        # A busy machine may take longer to find out than the exporter lets anybody wait.
        while "another process holds it" not in (said := exporter.ask("/api/drift/status").text):
            assert time.monotonic() < end, said
        writer.close()
        up(exporter, 1)


def test_a_full_disk_does_not_keep_the_store_from_being_read(tmp_path: Path) -> None:
    fill(default_url(tmp_path))
    with serving(tmp_path, limit_files=True, ROUTING_ML_API_TOKEN="t") as exporter:
        up(exporter, 1)
        reply = exporter.ask(
            "/api/drift/reset", method="POST", headers={"Authorization": "Bearer t"}
        )
        assert reply.status == 503
        up(exporter, 1)


@pytest.fixture(scope="module")
def own_postgresql() -> Iterator[PostgreSQL]:
    """One that may be stopped."""
    with running() as server:
        yield server


def test_a_reset_reaches_postgresql_after_a_scrape(tmp_path: Path, postgresql: PostgreSQL) -> None:
    url = postgresql.fresh("reset")
    fill(url)
    env = {"ROUTING_ML_STORE_URL": url, "ROUTING_ML_API_TOKEN": "t"}
    with serving(tmp_path, **env) as exporter:
        exporter.wait_for("routing_ml_drift_window_scores", 300)
        reply = exporter.ask(
            "/api/drift/reset", method="POST", headers={"Authorization": "Bearer t"}
        )
        assert reply.status == 200
        exporter.wait_for("routing_ml_drift_window_scores", 0)


def test_a_postgresql_that_is_down_or_silent_is_told_and_recovers(
    tmp_path: Path, own_postgresql: PostgreSQL
) -> None:
    fill(own_postgresql.url)
    with serving(tmp_path, ROUTING_ML_STORE_URL=own_postgresql.url) as exporter:
        exporter.wait_for("routing_ml_up", 1)
        assert exporter.value("routing_ml_predictions_total") == 300
        own_postgresql.signal_all(signal.SIGSTOP)
        try:
            for _ in range(4):
                up(exporter, 0)
                assert exporter.ask("/api/health").status == 200
            assert exporter.ask("/api/drift/status").status == 503
        finally:
            own_postgresql.signal_all(signal.SIGCONT)
        exporter.wait_for("routing_ml_up", 1)
        own_postgresql.stop()
        up(exporter, 0)
        shown = exporter.ask("/api/drift/status").text
        own_postgresql.start()
        exporter.wait_for("routing_ml_up", 1)
        _, errors = exporter.stop()
        assert "s3cret" not in shown + errors


# Clients in trouble -------------------------------------------------------------------------------


def half_open(exporter: Exporter, n: int, sent: bytes = b"GET /metrics HTTP/1.1\r\nHost:") -> list:
    clients = []
    for _ in range(n):
        client = socket.create_connection((exporter.host, exporter.port))
        client.sendall(sent)
        clients.append(client)
    return clients


def test_half_open_clients_hold_up_nobody_and_are_dropped(full: Exporter) -> None:
    clients = half_open(full, 150) + half_open(full, 150, b"")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        asked = [*["/api/health"] * 60, *["/metrics"] * 200, *["/api/health"] * 60]
        assert set(pool.map(lambda path: full.ask(path).status, asked)) == {200}
    for client in clients:
        client.settimeout(PATIENCE_SECONDS)
        with contextlib.suppress(ConnectionError):
            while client.recv(4096):
                pass
        client.close()


def test_a_large_body_is_answered_before_it_has_come(full: Exporter) -> None:
    before, length = full.memory_mib(), 10_000_000
    for path in ("/api/drift/reset", "/api/health") * 4:
        with socket.create_connection((full.host, full.port), timeout=PATIENCE_SECONDS) as client:
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
            client.sendall(head.encode() + b"x" * 200_000)
            assert client.recv(100).startswith(b"HTTP/1.1 40")
            with contextlib.suppress(OSError):  # it was told enough
                for _ in range(98):
                    client.sendall(b"x" * 100_000)
        assert full.ask("/api/health").status == 200
    assert full.memory_mib() - before < 8 * length / 2**20 / 2  # half of what was sent


def test_nonsense_is_answered_and_outlived(full: Exporter) -> None:
    for sent in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"b" * 100_000 + b"\r\n\r\n",
        b"\r\n" * 1000,
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    ):
        with socket.create_connection((full.host, full.port), timeout=10) as client:
            client.sendall(sent)
        assert full.ask("/api/health").status == 200


# Starting and ending ------------------------------------------------------------------------------


def test_it_starts_without_what_it_does_not_need() -> None:
    heavy = "numpy pandas scipy sklearn airflow pyarrow pyodbc psycopg yaml bcrypt"
    code = f"import sys, exporter.__main__; print(set('{heavy}'.split()) & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "set()"


def test_it_takes_little_more_memory_than_its_libraries(tmp_path: Path) -> None:
    code = (
        "import asyncio, h11, prometheus_client.openmetrics.exposition, sqlite3, ssl; "
        "print(open('/proc/self/status').read())"
    )
    libraries = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    fill(default_url(tmp_path))
    with serving(tmp_path) as exporter:
        exporter.ask("/metrics")
        assert exporter.memory_mib() < 1.3 * memory_mib(libraries.stdout)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_whoever_is_connected(tmp_path: Path, number: int) -> None:
    with serving(tmp_path) as exporter:
        clients = half_open(exporter, 20)
        exporter.ask("/metrics")
        assert exporter.stop(number) == (0, "")
        for client in clients:
            client.close()


def fails(home: Path, *arguments: str, **env: str) -> str:
    done = subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env=environment(home, **env),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def test_a_busy_port_is_named_in_one_line(tmp_path: Path, full: Exporter) -> None:
    for told in (
        fails(tmp_path, "--port", str(full.port)),
        fails(tmp_path, ROUTING_ML_EXPORTER_PORT=str(full.port)),
    ):
        assert f"port {full.port}" in told and "choose another with --port" in told


def test_settings_that_cannot_be_are_named_in_one_line(tmp_path: Path) -> None:
    assert "--port is '99999'" in fails(tmp_path, "--port", "99999")
    assert "ROUTING_ML_EXPORTER_PORT is 'http'" in fails(tmp_path, ROUTING_ML_EXPORTER_PORT="http")
    told = fails(tmp_path, ROUTING_ML_STORE_URL="mysql://u:s3cret@h/db")
    assert "mysql://h/db" in told and "s3cret" not in told
    assert "no.such.host.invalid" in fails(tmp_path, "--host", "no.such.host.invalid")


def test_what_a_look_found_and_which_source_is_away_is_shown(full: Exporter) -> None:
    values = {
        (sample.name.removeprefix("routing_ml_"), *sorted(sample.labels.values())): sample.value
        for family in prometheus(full.ask("/metrics").text)
        for sample in family.samples
    }
    assert values["quality_findings", "duplicates"] == 3
    assert values["quality_findings", "units"] == 0
    assert values["quality_column_findings", "ITEM_CD", "duplicates", "items", "items alike"] == 3
    assert values["quality_worse",] == 2
    assert values["quality_last_success",] == 0
    assert values["quality_last_run_timestamp_seconds",] == 1.8e9
    assert values["quality_last_success_timestamp_seconds",] == 1.79e9
    assert (values["source_away", "default"], values["source_away", "plant2"]) == (0, 1)
    assert values["source_data_timestamp_seconds", "default"] == 1.7e9
    assert ("source_data_timestamp_seconds", "plant2") not in values
    assert values["series_left_out", "quality_column_findings"] == 0
