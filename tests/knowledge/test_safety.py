"""Report text goes where it may and nowhere else, and no reply of a server can stop a run or fill the memory."""

import asyncio
import json
import os
import resource
import socket
import stat
import subprocess
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from ecgkit.errors import ConfigError, EndpointError
from ecgkit.knowledge.endpoint.address import check_address, is_private
from ecgkit.knowledge.endpoint.settings import ModelSettings, parse_extra_body, parse_headers
from ecgkit.knowledge.endpoint.transport import LONGEST_REPLY, Transport, UnusableError
from ecgkit.knowledge.extract import ExtractOptions, extract_knowledge
from ecgkit.knowledge.reports import Reports
from tests.knowledge.raw_server import http, raw_server
from tests.knowledge.server import reader, serving, stage_of

ALL = ExtractOptions(min_count=1, keep_children=True, overwrite=True)


def completion(text: str, **more: object) -> bytes:
    choice = {"finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return json.dumps({"choices": [choice], **more}).encode()


def honest(body: bytes) -> bytes:
    return http(completion(json.dumps(reader(*stage_of(json.loads(body))))))


def test_a_name_is_resolved_once_and_the_checked_address_is_used(reports, model, monkeypatch) -> None:
    """A name server that answers privately when it is asked first, and publicly ever after."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host, *rest, **more):
        if host != "rebinding.test":
            return real(host, *rest, **more)
        asked.append(host)
        return real("127.0.0.1" if len(asked) == 1 else "8.8.8.8", *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with serving() as server:
        url = server.url.replace("127.0.0.1", "rebinding.test")
        assert extract_knowledge(reports, model(url), ALL).incomplete == 0
        assert server.headers[0]["Host"].startswith("rebinding.test")
    assert asked == ["rebinding.test"]


def test_a_name_with_one_public_address_is_refused(monkeypatch) -> None:
    both = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (number, 0)) for number in ("10.0.0.1", "8.8.8.8")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    with pytest.raises(ConfigError, match="not a private address"):
        check_address("http://mixed.test/v1")


@pytest.mark.parametrize(
    ("number", "private"),
    [
        ("127.0.0.1", True),
        ("10.9.8.7", True),
        ("172.31.0.1", True),
        ("169.254.1.1", True),
        ("fe80::1%eth0", True),
        ("::ffff:192.168.0.1", True),
        ("172.32.0.1", False),
        ("100.64.0.1", False),
        ("::ffff:8.8.8.8", False),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
        ("64:ff9b::808:808", False),
        ("198.18.0.1", False),
        ("2002:0808:0808::1", False),
    ],
)
def test_which_addresses_are_private(number: str, private: bool) -> None:
    assert is_private(number) is private


def post(port: int, timeout: float = 20.0):
    async def run():
        async with Transport(check_address(f"http://127.0.0.1:{port}/v1"), timeout) as transport:
            return await transport.post("/chat/completions", {"messages": []})

    return asyncio.run(run())


def endless(packed: bool) -> Callable[[bytes, Callable[[bytes], None]], None]:
    def reply(_: bytes, send: Callable[[bytes], None]) -> None:
        kind = b"content-encoding: gzip\r\n" if packed else b""
        send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" + kind + b"connection: close\r\n\r\n")
        pack = zlib.compressobj(wbits=31)
        block = b" " * 2**22
        for _ in range(500):
            send(pack.compress(block) + pack.flush(zlib.Z_SYNC_FLUSH) if packed else block)

    return reply


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_an_endless_reply_ends_at_the_limit(packed: bool) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with raw_server(endless(packed)) as port, pytest.raises(UnusableError, match="more than 8 MiB"):
        post(port)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 12 * LONGEST_REPLY / 1024  # KiB


def test_a_packed_reply_that_nobody_asked_for_is_read() -> None:
    packed = zlib.compressobj(wbits=31)
    body = packed.compress(b'{"a": 1}') + packed.flush()
    with raw_server(lambda _, send: send(http(body, b"content-encoding: gzip"))) as port:
        assert post(port).content == b'{"a": 1}'


SPOILED = {
    "lone surrogate": http(completion("\ud800 no JSON")),
    "lone surrogate in the answer": http(completion('{"entities": [{"name": "\ud800", "polarity": "present"}]}')),
    "deep answer": http(completion("[" * 100_000)),
    "deep body": http(b"[" * 100_000),
    "broken header": b"HTTP/1.1 200 OK\r\nbroken header line\r\n\r\n",
    "long header": b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n",
    "no HTTP": b"\x00\x01\x02\r\n\r\n",
    "huge usage": http(completion("no", usage={"prompt_tokens": 1e400})),
    "wrong packing": http(b"not packed", b"content-encoding: gzip"),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_one_spoiled_reply_costs_one_statement_once(reports, model, kind: str) -> None:
    hits: list[bytes] = []

    def reply(body: bytes, send: Callable[[bytes], None]) -> None:
        if b"inferior infarct" in body:
            hits.append(body)
            send(SPOILED[kind])
        else:
            send(honest(body))

    with raw_server(reply) as port:
        url = f"http://127.0.0.1:{port}/v1"
        done = extract_knowledge(reports, model(url, timeout=10), ALL)
        assert sum(done.problems.values()) == 1 and done.incomplete == 3
        asked = len(hits)
        assert asked == 2
        assert extract_knowledge(reports, model(url, timeout=10), ALL).incomplete == 3
        assert len(hits) == asked, "it is not asked again by the next run"
        again = extract_knowledge(reports, model(url, timeout=10, retry_quarantined=True), ALL)
        assert again.incomplete == 3 and len(hits) == 2 * asked


def test_a_long_wait_is_bounded_and_told(model, tmp_path, monkeypatch) -> None:
    slept: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await real(0)

    monkeypatch.setattr("ecgkit.knowledge.endpoint.client.asyncio.sleep", sleep)
    monkeypatch.setattr("ecgkit.knowledge.endpoint.client.Endpoint._wait_for_leave", lambda _: real(0))
    told: list[str] = []
    busy = iter([True])

    def reply(body: bytes, send: Callable[[bytes], None]) -> None:
        if b"sinus rhythm" in body and next(busy, False):
            send(http(b"{}", b"retry-after: 86400", status=b"429 Too Many Requests"))
        else:
            send(honest(body))

    one = Reports(("1",), ("sinus rhythm",), tmp_path / "knowledge", "h")
    with raw_server(reply) as port:
        done = extract_knowledge(one, model(f"http://127.0.0.1:{port}/v1", timeout=10, notify=told.append), ALL)
    assert done.incomplete == 0 and max(slept) == 60.0
    assert len(told) == 1 and "asks to wait 86400 s" in told[0] and "again in 60 s" in told[0]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> tuple[Path, Path]:
    """A certificate of an authority that nobody knows."""
    folder = tmp_path_factory.mktemp("tls")
    key, pem = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(pem)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("needs the program openssl")
    return pem, key


def test_a_private_authority_is_named_and_can_be_trusted(reports, model, certificate, monkeypatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with raw_server(lambda body, send: send(honest(body)), certificate) as port:
        url = f"https://localhost:{port}/v1"
        began = time.monotonic()
        with pytest.raises(EndpointError, match=r"certificate of localhost:\d+ is not trusted.*SSL_CERT_FILE"):
            extract_knowledge(reports, model(url, timeout=10), ALL)
        assert time.monotonic() - began < 5
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        assert extract_knowledge(reports, model(url, timeout=10), ALL).incomplete == 0
        wrong = f"https://127.0.0.1:{port}/v1"  # the certificate is for another name
        more = Reports(("q",), ("left bundle branch block seen",), reports.folder, "h3")
        with pytest.raises(EndpointError, match="not trusted"):
            extract_knowledge(more, model(wrong, timeout=10), ALL)
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
    with pytest.raises(ConfigError, match="SSL_CERT_FILE names /nowhere.pem, which does not exist"):
        extract_knowledge(more, model(wrong), ALL)


def test_a_proxy_of_the_environment_serves_remote_addresses_only(monkeypatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert Transport(check_address("https://127.0.0.1/v1"), 1.0).proxy is None
    assert Transport(check_address("https://8.8.8.8/v1", allow_remote=True), 1.0).proxy == "http://127.0.0.1:9"
    monkeypatch.setenv("NO_PROXY", "8.8.8.8")
    assert Transport(check_address("https://8.8.8.8/v1", allow_remote=True), 1.0).proxy is None


def test_keys_and_headers_are_sent_and_never_shown(model, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ECGKIT_API_KEY", "sk-verysecret")
    headers = parse_headers(["X-Tenant: hospital-secret"])

    def echo(body: bytes, send: Callable[[bytes], None]) -> None:
        said = {"error": {"message": "wrong key sk-verysecret for hospital-secret\x1b[2J" + "x" * 1000}}
        send(http(json.dumps(said).encode(), status=b"401 Unauthorized"))

    reports = Reports(("1",), ("sinus rhythm",), tmp_path / "k", "h")
    with raw_server(echo) as port, pytest.raises(EndpointError) as refused:
        extract_knowledge(reports, model(f"http://127.0.0.1:{port}/v1", headers=headers), ALL)
    text = str(refused.value)
    assert "wrong key ***" in text and "secret" not in text and "\x1b" not in text and len(text) < 700
    with serving() as server:
        backend = model(server.url, headers=headers)
        done = extract_knowledge(reports, backend, ALL)
        sent = {name.lower(): value for name, value in server.headers[0].items()}
    assert (sent["authorization"], sent["x-tenant"]) == ("Bearer sk-verysecret", "hospital-secret")
    assert "secret" not in json.dumps(done.entities.provenance, default=str) and "secret" not in repr(backend.settings)


@pytest.mark.parametrize("line", ["novalue", "a b: c", "x:", "x: y\r\nz: w", ""])
def test_a_bad_header_is_refused_without_its_value(line: str) -> None:
    with pytest.raises(ConfigError, match="--header"):
        parse_headers([line])


@pytest.mark.parametrize("text", ["[1]", "{", "1", '{"x": NaN}'])
def test_a_bad_extra_body_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--extra-body"):
        parse_extra_body(text)
    with pytest.raises(ConfigError, match="which ecgkit sets itself"):
        ModelSettings("m", extra_body={"messages": []})


@pytest.mark.parametrize("mask", [0o000, 0o077, 0o277])
def test_what_holds_report_text_is_its_owners_alone_under_any_umask(reports, server, model, tmp_path, mask) -> None:
    from ecgkit.errors import BatchWaitingError
    from ecgkit.knowledge.audit import write_audit

    old = os.umask(mask)
    try:
        extract_knowledge(reports, model(server.url), ALL)
        write_audit(reports, 3)
        with pytest.raises(BatchWaitingError):
            extract_knowledge(reports, model(batch=tmp_path / "batch", folder=tmp_path / "other"), ALL)
    finally:
        os.umask(old)
    private = [*reports.folder.glob("cache.sqlite*"), *reports.folder.glob("audit-*"), *tmp_path.glob("batch/*.jsonl")]
    assert len(private) >= 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
