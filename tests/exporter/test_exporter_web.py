"""The exporter behind a web configuration file: TLS, passwords, headers."""

from __future__ import annotations

import base64
import contextlib
import errno
import ipaddress
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import bcrypt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from exporter_process import ROOT, Exporter, command, environment, serving

from exporter.webconfig import WebConfig
from routing_ml.errors import SettingError

PATIENCE_SECONDS = 60
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
# Of "pass word"; a new salt each time would give the tests other names in each process.
HASH = bcrypt.hashpw(b"pass word", b"$2b$04$WR3YI/c.4LwOkEP.p.qFX.").decode()


def write_certificate(folder: Path) -> None:
    """cert.pem and key.pem for 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "exporter")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (folder / "secret.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"a pass phrase"),
        )
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("web")
    write_certificate(made)
    (made / "web.yml").write_text(
        "tls_server_config:\n"
        "  cert_file: cert.pem\n"
        "  key_file: key.pem\n"
        "  min_version: TLS12\n"
        "http_server_config:\n"
        "  headers:\n"
        "    X-Frame-Options: deny\n"
        f"basic_auth_users:\n  prometheus: {HASH}\n"
    )
    return made


@pytest.fixture(scope="module")
def exporter(folder: Path) -> Iterator[Exporter]:
    file = str(folder / "web.yml")
    with serving(folder, "--web.config.file", file, ROUTING_ML_API_TOKEN="t0ken") as running:
        yield running


@pytest.fixture
def trust(folder: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(folder / "cert.pem"))


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_the_right_password_is_let_in_over_tls(exporter: Exporter, trust: ssl.SSLContext) -> None:
    for path in ("/metrics", "/api/health", "/"):
        reply = exporter.ask(path, headers=basic("prometheus", "pass word"), tls=trust)
        assert reply.status == 200
        assert reply.headers["x-frame-options"] == "deny"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("prometheus", "wrong"),
        basic("nobody", "pass word"),
        basic("prometheus", ""),
        {"Authorization": "Basic !"},
        {"Authorization": "Basic"},
        {"Authorization": "Bearer wrong"},
    ],
)
def test_everybody_else_is_not(
    exporter: Exporter, trust: ssl.SSLContext, headers: dict[str, str]
) -> None:
    for path in ("/metrics", "/api/health", "/nothing", "/"):
        reply = exporter.ask(path, headers=headers, tls=trust)
        assert reply.status == 401
        assert reply.headers["www-authenticate"].startswith("Basic")


def test_the_api_token_opens_the_door_too(exporter: Exporter, trust: ssl.SSLContext) -> None:
    token = {"Authorization": "Bearer t0ken"}
    reset = "/api/drift/reset"
    assert exporter.ask(reset, method="POST", headers=token, tls=trust).status == 200
    password = basic("prometheus", "pass word")
    assert exporter.ask(reset, method="POST", headers=password, tls=trust).status == 401


def test_a_silent_tls_client_holds_up_nobody_and_is_dropped(
    exporter: Exporter, trust: ssl.SSLContext
) -> None:
    silent = [socket.create_connection((exporter.host, exporter.port)) for _ in range(50)]
    good = basic("prometheus", "pass word")
    for _ in range(20):  # a handshake each
        assert exporter.ask("/api/health", headers=good, tls=trust).status == 200
    for client in silent:
        client.settimeout(PATIENCE_SECONDS)
        assert client.recv(100) == b""
        client.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1")
def test_old_tls_and_plain_text_are_refused(
    folder: Path, exporter: Exporter, trust: ssl.SSLContext
) -> None:
    old = ssl.create_default_context(cafile=str(folder / "cert.pem"))
    old.set_ciphers("ALL:@SECLEVEL=0")  # or the client itself would refuse
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    assert_refused(exporter, old, otherwise=trust)
    with socket.create_connection((exporter.host, exporter.port), timeout=9) as client:
        client.sendall(b"GET /api/health HTTP/1.1\r\nHost: x\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert b"200" not in client.recv(1000)


@pytest.mark.parametrize("said", ["true", "false"])
def test_http_2_is_not_spoken_over_tls_whatever_the_file_says(
    folder: Path, tmp_path: Path, trust: ssl.SSLContext, said: str
) -> None:
    file = folder / f"http2_{said}.yml"
    file.write_text(
        "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"
        f"http_server_config: {{http2: {said}}}\n"
    )
    trust.set_alpn_protocols(["h2", "http/1.1"])
    with (
        serving(tmp_path, "--web.config.file", str(file)) as exporter,
        socket.create_connection((exporter.host, exporter.port), timeout=9) as plain,
        trust.wrap_socket(plain, server_hostname="127.0.0.1") as client,
    ):
        assert client.selected_alpn_protocol() == "http/1.1"
        client.sendall(PREFACE)
        assert client.recv(100).startswith(b"HTTP/1.1 505")


def test_a_client_certificate_can_be_required(folder: Path, tmp_path: Path) -> None:
    file = folder / "mutual.yml"
    file.write_text(
        "tls_server_config: {cert_file: cert.pem, key_file: key.pem, client_ca_file: cert.pem,"
        " client_auth_type: RequireAndVerifyClientCert, min_version: TLS13}\n"
    )
    with serving(tmp_path, "--web.config.file", str(file)) as exporter:
        bearing = ssl.create_default_context(cafile=str(folder / "cert.pem"))
        bearing.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        without = ssl.create_default_context(cafile=str(folder / "cert.pem"))
        assert_refused(exporter, without, otherwise=bearing)
        old = ssl.create_default_context(cafile=str(folder / "cert.pem"))
        old.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        assert_refused(exporter, old, otherwise=bearing)


def assert_refused(exporter: Exporter, tls: ssl.SSLContext, *, otherwise: ssl.SSLContext) -> None:
    """No answer of any kind comes with `tls`, though one comes with `otherwise`, before and after.

    How the refusal reads is the library's: Python 3.11.2 words it otherwise than 3.11.7.
    """
    assert exporter.ask("/nothing", tls=otherwise).status in (401, 404)
    with pytest.raises(OSError) as refused:
        exporter.ask("/nothing", tls=tls)
    cause = getattr(refused.value, "reason", refused.value)
    assert not isinstance(cause, TimeoutError), "it was ignored, not refused"
    assert exporter.ask("/nothing", tls=otherwise).status in (401, 404)


TLS = "tls_server_config: {cert_file: cert.pem, key_file: key.pem"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tls_server_config: {cert_file: cert.pem}", "cert_file and key_file are both needed"),
        ("tls_server_config: {cert_file: no.pem, key_file: key.pem}", os.strerror(errno.ENOENT)),
        ("tls_server_config: {cert_file: key.pem, key_file: cert.pem}", "PEM"),
        ("tls_server_config: {cert_file: cert.pem, key_file: key.pem, min_version: TLS9}", "TLS9"),
        ("tls_server_config: {curve_preferences: [X]}", "has the key 'curve_preferences'"),
        ("tls_config: {}", "has the key 'tls_config'"),
        ("basic_auth_users: {a: plain}", "bcrypt"),
        ("basic_auth_users: {a: $2y$10$short}", "the password of 'a': it must be a bcrypt hash"),
        (f"basic_auth_users: {{a: {HASH[:28]}B{HASH[29:]}}}", "bcrypt"),
        (f"basic_auth_users: {{a: {HASH[:-1]}B}}", "bcrypt"),
        (f"basic_auth_users: {{a: $2b$31{HASH[6:]}}}", "of cost 04 to 14"),
        (f"basic_auth_users: {{a: {HASH}é}}", "bcrypt"),
        ("basic_auth_users: {a: [1]}", "bcrypt"),
        (f"basic_auth_users: {{7: {HASH}}}", "the user name 7"),
        (f"basic_auth_users: {{'a:b': {HASH}}}", "without a colon"),
        (f'basic_auth_users: {{"\\ud800": {HASH}}}', "the user name"),
        (f"basic_auth_users: {{a: {HASH}, a: {HASH}}}", "'a' comes twice"),
        ("basic_auth_users: 0", "basic_auth_users is 0"),
        ("basic_auth_users: false", "basic_auth_users is False"),
        ("tls_server_config: []", r"tls_server_config is \[\]"),
        ("http_server_config: {headers: ''}", "headers is ''"),
        ("http_server_config: {headers: {X-Frame-Options: 5}}", "X-Frame-Options is 5"),
        ("http_server_config: {headers: {X-Frame-Options: [deny]}}", "it must be text"),
        ('http_server_config: {headers: {X-Frame-Options: "a\\r\\nb: c"}}', "one line in ASCII"),
        ("http_server_config: {headers: {X-Frame-Options: 한}}", "one line in ASCII"),
        ("http_server_config: {headers: {X-Frame-Options: ''}}", "one line in ASCII"),
        (f"{TLS}, min_version: TLS13, max_version: TLS12}}", "must not be above max_version"),
        (f"{TLS}, min_version: [1]}}", r"min_version is \[1\]"),
        (f"{TLS}, max_version: }}", "max_version is None"),
        (f"{TLS}, client_auth_type: 7}}", "client_auth_type is 7"),
        (f"{TLS}, client_auth_type: RequireAndVerifyClientCert}}", "need each other"),
        (f"{TLS}, client_ca_file: cert.pem}}", "need each other"),
        ("tls_server_config: {cert_file: 5, key_file: key.pem}", "cert_file is 5"),
        ('tls_server_config: {cert_file: "a\\0b", key_file: key.pem}', "cert_file is"),
        ("tls_server_config: {cert_file: ., key_file: key.pem}", os.strerror(errno.EISDIR)),
        ("tls_server_config: {cert_file: cert.pem, key_file: secret.pem}", "PEM"),
        ("{[a]: b}", "no YAML"),
        ("a: 2001-13-99", "no YAML"),
        ("[" * 5000, "no YAML"),
        ("a: 1\n" * 300_000, "larger than 1 MiB"),
        ("basic_auth_users: [a]", "mapping"),
        ("http_server_config: {http2: maybe}", "http2 is 'maybe'"),
        ("http_server_config: {headers: {Server: x}}", "has the key 'Server'"),
        ("- a", "must be a mapping"),
        ("a: [", "no YAML"),
    ],
)
def test_a_file_that_cannot_be_honoured_is_refused(folder: Path, text: str, says: str) -> None:
    file = folder / "bad.yml"
    file.write_text(text)
    with pytest.raises(SettingError, match=says) as caught:
        WebConfig.load(file)
    assert "bad.yml" in str(caught.value) and "\n" not in str(caught.value)


def test_a_reload_takes_what_is_good_and_keeps_it_when_the_next_is_not(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text(f"basic_auth_users:\n  a: {HASH}\n")
    other = bcrypt.hashpw(b"other", bcrypt.gensalt(4)).decode()
    with serving(tmp_path, "--web.config.file", str(file)) as exporter:
        assert exporter.ask("/api/health", headers=basic("a", "pass word")).status == 200
        file.write_text(f"basic_auth_users:\n  a: {other}\n")
        exporter.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + PATIENCE_SECONDS
        while exporter.ask("/api/health", headers=basic("a", "other")).status != 200:
            assert time.monotonic() < end
        assert exporter.ask("/api/health", headers=basic("a", "pass word")).status == 401
        file.write_text("basic_auth_users: {a: plain}\n")
        exporter.process.send_signal(signal.SIGHUP)
        assert exporter.process.stderr is not None
        lines = [exporter.process.stderr.readline() for _ in range(2)]
        assert "was read again" in lines[0]
        assert "'a': it must be a bcrypt hash" in lines[1] and "still holds" in lines[1]
        assert exporter.ask("/api/health", headers=basic("a", "other")).status == 200


def test_an_empty_file_asks_for_nothing(folder: Path) -> None:
    file = folder / "empty.yml"
    file.write_text("# nothing\n")
    assert WebConfig.load(file) == WebConfig()


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        command("--web.config.file", str(tmp_path / "none.yml")),
        cwd=ROOT,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and "none.yml" in done.stderr
