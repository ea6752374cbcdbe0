import gc
import hashlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pooch
import pytest

from labneuro.datasets.fetch import DatasetError, PublishedFile, check, fetch

CONTENT = b"the published numbers\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Site:
    """A web site on this machine that holds one file, and counts how often it is asked for."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.asked = 0
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked += 1
                self.send_response(200 if self.path == "/numbers.dat" else 404)
                self.end_headers()
                self.wfile.write(site.content)

            def log_message(self, *_: object) -> None:
                return

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def file(self, name: str = "numbers.dat") -> PublishedFile:
        url = f"http://127.0.0.1:{self.server.server_port}/{name}"
        return PublishedFile("set/numbers.dat", url, SHA256, "take other numbers")

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("LABNEURO_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / project)
    return tmp_path / "labneuro"


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


def one_line(error: pytest.ExceptionInfo[DatasetError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_file_is_downloaded_once(cache: Path, site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    first, again = fetch(site.file()), fetch(site.file())
    assert first == again == (cache / "set" / "numbers.dat").resolve()
    assert first.read_bytes() == CONTENT
    assert site.asked == 1
    assert capfd.readouterr().err == ""


def test_a_download_that_is_not_the_published_file_is_refused_and_not_kept(cache: Path, site: Site) -> None:
    site.content = CONTENT[:-5]
    with pytest.raises(DatasetError) as refused:
        fetch(site.file())
    assert "its SHA-256 differs" in one_line(refused)
    assert not list(cache.rglob("*.dat"))


def test_without_the_page_the_way_out_is_given(cache: Path, site: Site) -> None:
    with pytest.raises(DatasetError) as refused:
        fetch(site.file("elsewhere.dat"))
    message = one_line(refused)
    assert "can't be downloaded from 127.0.0.1" in message
    assert "set LABNEURO_DATA to a folder that holds set/numbers.dat, or take other numbers" in message


@pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning")  # urllib3's, refused
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_without_a_network_the_way_out_is_given(cache: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and nobody listens
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/numbers.dat"
        with pytest.raises(DatasetError) as refused:
            fetch(PublishedFile("set/numbers.dat", url, SHA256, "take other numbers"))
    message = one_line(refused)
    del refused
    gc.collect()  # here, where the warning about urllib3's socket is expected
    assert "ConnectionError" in message
    assert "set LABNEURO_DATA" in message


def test_labneuro_data_comes_before_any_download(
    cache: Path, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine" / "set" / "numbers.dat"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    monkeypatch.setenv("LABNEURO_DATA", str(tmp_path / "mine"))
    assert fetch(site.file()) == path
    assert site.asked == 0


def test_labneuro_data_without_the_file_is_an_error(
    cache: Path, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABNEURO_DATA", str(tmp_path / "empty"))
    with pytest.raises(DatasetError) as refused:
        fetch(site.file())
    assert str(tmp_path / "empty" / "set" / "numbers.dat") in one_line(refused)
    assert "unset LABNEURO_DATA" in one_line(refused)
    assert site.asked == 0


def test_a_copy_is_known_by_its_checksum(tmp_path: Path, site: Site) -> None:
    check(site.file(), tmp_path / "numbers.dat", CONTENT)
    with pytest.raises(DatasetError, match="differs from the published file"):
        check(site.file(), tmp_path / "numbers.dat", CONTENT + b"\n")
