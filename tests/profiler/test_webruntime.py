"""The page's runtime: fetched on request, checked, and never used when it is not what was fetched. npm is played by a script."""

import base64
import hashlib
import json
import tarfile

import pytest

from hwnas.cli.main import call
from hwnas.core.errors import ConfigError, DeviceError
from hwnas.profiler import webruntime
from hwnas.profiler.webruntime import FILES, WEBGPU_FILES, cache_folder, fetch_web, web_files


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A package with the files that are wanted and a hostile one, its hash pinned."""
    source = tmp_path / "source"
    source.mkdir()
    path = tmp_path / "package.tgz"
    with tarfile.open(path, "w:gz") as tar:
        for name in (*FILES, *WEBGPU_FILES):
            (source / name).write_text(f"content of {name}")
            tar.add(source / name, f"package/dist/{name}")
        tar.add(source / FILES[0], "../../escaped")
    pin(monkeypatch, path)
    return path


def pin(monkeypatch, path):
    monkeypatch.setattr(webruntime, "INTEGRITY", "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode())


@pytest.fixture
def npm(tmp_path, archive, monkeypatch):
    """A program npm that gives the archive and notes how it was called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "npm"
    program.write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/calls"\nfor last; do :; done\ncp "{archive}" "$last/package.tgz"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return program


def test_the_files_are_fetched_once_at_the_pinned_version(npm, tmp_path):
    folder = tmp_path / "cache"
    with pytest.raises(DeviceError, match="is not here yet; run 'hwnas agent fetch-web'"):
        web_files(folder)
    files = fetch_web(folder)
    assert set(files) == set(FILES)
    assert files[FILES[0]].read_text() == f"content of {FILES[0]}"
    assert web_files(folder) == files
    (called,) = (tmp_path / "calls").read_text().splitlines()
    assert f"onnxruntime-web@{webruntime.VERSION}" in called
    assert "--ignore-scripts" in called
    assert not list(tmp_path.rglob("escaped"))
    assert set(fetch_web(folder, webgpu=True)) == {*FILES, *WEBGPU_FILES}
    assert set(fetch_web(folder)) == {*FILES, *WEBGPU_FILES}


def test_another_archive_than_the_pinned_one_is_not_kept(npm, tmp_path, monkeypatch):
    monkeypatch.setattr(webruntime, "INTEGRITY", "sha512-other")
    with pytest.raises(ConfigError, match="not the pinned one; nothing was kept"):
        fetch_web(tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_files_that_were_changed_since_are_not_served(npm, tmp_path):
    fetch_web(tmp_path / "cache")
    (tmp_path / "cache" / FILES[0]).write_text("changed")
    with pytest.raises(DeviceError, match="not as it was fetched; run 'hwnas agent fetch-web' again"):
        web_files(tmp_path / "cache")
    (tmp_path / "cache" / "files.json").write_text("[]")
    with pytest.raises(DeviceError, match="not as it was written"):
        web_files(tmp_path / "cache")
    (tmp_path / "cache" / "files.json").write_text("{}")
    with pytest.raises(DeviceError, match="incomplete"):
        web_files(tmp_path / "cache")


def test_links_in_the_archive_are_not_followed(npm, archive, tmp_path, monkeypatch):
    with tarfile.open(archive, "w:gz") as tar:
        link = tarfile.TarInfo(f"package/dist/{FILES[0]}")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    pin(monkeypatch, archive)
    with pytest.raises(ConfigError, match="is no file of a sensible size"):
        fetch_web(tmp_path / "cache")


def test_without_npm_or_where_it_fails_one_line_says_so(npm, tmp_path):
    with pytest.raises(ConfigError, match=r"no-such-npm: not found; install npm"):
        fetch_web(tmp_path / "cache", npm="no-such-npm")
    npm.write_text("#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\nexit 1\n")
    with pytest.raises(ConfigError, match=r"npm cannot fetch onnxruntime-web@.*: npm error code ENOTFOUND"):
        fetch_web(tmp_path / "cache")


def test_the_cache_is_where_the_system_keeps_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder().parent == tmp_path / "hwnas"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder().is_relative_to(tmp_path / "home" / ".cache")


def test_the_command_fetches_and_says_what(npm, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert call(["agent", "fetch-web"]) == 0
    assert f"onnxruntime-web {webruntime.VERSION}: 3 files" in capsys.readouterr().out
    assert call(["agent", "fetch-web", "--webgpu", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["files"]) == {*FILES, *WEBGPU_FILES}
