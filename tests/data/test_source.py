"""Downloads from a server on this machine: checked, resumed, atomic, and refused with names, sums and folder."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lid_vae.data.source import RemoteFile, digest, fetch, read_checked
from lid_vae.errors import UserError

PAYLOAD = bytes(range(256)) * 500
SUM = "sha256:" + hashlib.sha256(PAYLOAD).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves the payload at every address; ``/cut`` breaks off half-way, ``/whole`` knows no ranges."""

    def __init__(self) -> None:
        self.ranges: list[str | None] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.server.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.path != "/whole" else 0
        if self.path == "/absent":
            self.send_error(404)
            return
        if start >= len(PAYLOAD):
            self.send_error(416)
            return
        body = PAYLOAD[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.path == "/cut" else body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_missing_file_is_downloaded_into_a_new_folder(server: Server, tmp_path: Path) -> None:
    file = RemoteFile("a.bin", SUM, (f"{server.url}/a.bin",))
    fetch(tmp_path / "new", [file])
    assert read_checked(tmp_path / "new", file) == PAYLOAD
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.bin"]
    fetch(tmp_path / "new", [file])
    assert len(server.ranges) == 1


def test_an_interrupted_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the connection broke after 64000 of 128000 bytes"):
        fetch(tmp_path, [RemoteFile("a.bin", SUM, (f"{server.url}/cut",))])
    assert not (tmp_path / "a.bin").exists()
    assert (tmp_path / "a.bin.part").read_bytes() == PAYLOAD[:64_000]
    fetch(tmp_path, [RemoteFile("a.bin", SUM, (f"{server.url}/a.bin",))])
    assert server.ranges == [None, "bytes=64000-"]
    assert (tmp_path / "a.bin").read_bytes() == PAYLOAD
    assert not (tmp_path / "a.bin.part").exists()


def test_a_server_without_ranges_sends_all_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(PAYLOAD[:1000])
    fetch(tmp_path, [RemoteFile("a.bin", SUM, (f"{server.url}/whole",))])
    assert (tmp_path / "a.bin").read_bytes() == PAYLOAD
    assert server.ranges == ["bytes=1000-"]


def test_a_complete_part_only_takes_its_name(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(PAYLOAD)
    fetch(tmp_path, [RemoteFile("a.bin", SUM, (f"{server.url}/a.bin",))])
    assert (tmp_path / "a.bin").read_bytes() == PAYLOAD


def test_a_part_of_another_file_is_thrown_away(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(b"something else")
    fetch(tmp_path, [RemoteFile("a.bin", SUM, (f"{server.url}/a.bin",))])
    assert (tmp_path / "a.bin").read_bytes() == PAYLOAD
    assert server.ranges == ["bytes=14-", None]


def test_a_wrong_sum_leaves_no_file(server: Server, tmp_path: Path) -> None:
    wrong = "sha256:" + "0" * 64
    with pytest.raises(UserError) as caught:
        fetch(tmp_path, [RemoteFile("a.bin", wrong, (f"{server.url}/a.bin",))])
    for part in ("a.bin", wrong, SUM, str(tmp_path), "LID_VAE_DATA"):
        assert part in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_next_address_is_tried(server: Server, tmp_path: Path) -> None:
    fetch(tmp_path, [RemoteFile("a.bin", SUM, (f"{server.url}/absent", f"{server.url}/a.bin"))])
    assert (tmp_path / "a.bin").read_bytes() == PAYLOAD


def test_without_a_network_all_that_is_missing_is_named(server: Server, tmp_path: Path) -> None:
    closed = "http://127.0.0.1:9"  # the port of the discard service, where nothing listens
    (tmp_path / "c").write_bytes(b"there already")
    files = [RemoteFile(name, f"sha256:{name * 64}", (f"{closed}/{name}",)) for name in "abc"]
    with pytest.raises(UserError) as caught:
        fetch(tmp_path, files)
    for part in ("a (sha256:aaa", "b (sha256:bbb", str(tmp_path), "LID_VAE_DATA", f"{closed}/a: "):
        assert part in str(caught.value)
    assert "sha256:ccc" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c"]


def test_several_processes_may_want_a_file_at_once(server: Server, tmp_path: Path) -> None:
    file = RemoteFile("a.bin", SUM, (f"{server.url}/a.bin",))
    threads = [threading.Thread(target=fetch, args=(tmp_path, [file])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]
    assert read_checked(tmp_path, file) == PAYLOAD
    assert server.ranges == [None]


def test_a_damaged_file_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(PAYLOAD[:-1])
    with pytest.raises(UserError) as caught:
        read_checked(tmp_path, RemoteFile("a.bin", SUM))
    for part in ("a.bin", SUM, digest(PAYLOAD[:-1], "sha256:"), str(tmp_path)):
        assert part in str(caught.value)
    assert (tmp_path / "a.bin").exists()


def test_sums_of_either_algorithm() -> None:
    assert digest(b"", "md5:x") == "md5:d41d8cd98f00b204e9800998ecf8427e"
    assert digest(b"abc", "sha256:x").startswith("sha256:ba7816bf")
