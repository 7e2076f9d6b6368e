"""`[weights]` of a recipe: a supernet from a file or a server in place of a training, and only the one that the recipe means."""

import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from hwnas.core.errors import CheckpointError, ConfigError
from hwnas.core.serial import sha256_file
from hwnas.pipeline.accuracy import Trained
from hwnas.pipeline.context import Context
from hwnas.recipe import Weights
from hwnas.space.family import family_of
from hwnas.supernet.checkpoint import read_weights_of, write_weights
from hwnas.supernet.family import supernet_family
from hwnas.workspace import Workspace


@pytest.fixture
def trained(copy):
    """A workspace whose supernet was trained, and the file of its weights."""
    (weights,) = copy.glob("runs/stages/train-*/supernet.safetensors")
    return copy, weights.rename(copy / "weights.safetensors")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


@pytest.fixture
def url(trained, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(trained[0])))
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}/weights.safetensors"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def test_weights_of_a_file_and_of_a_server_are_the_same_and_nothing_is_trained(trained, url):
    root, path = trained
    ctx = Context(Workspace.open(root))
    digest = sha256_file(path)
    here = Trained.load(ctx, Weights(digest, path=path.name))
    arch = family_of(ctx.space).extremes(ctx.space)[0]
    accuracy = here.accuracy(arch)
    assert 0 < accuracy <= 1
    assert not list(root.glob("runs/stages/train-*/supernet.safetensors"))
    path.rename(root / "moved")
    assert Trained.load(ctx, Weights(digest, path=path.name)).key == here.key, "what was read once is there"
    for stage in root.glob("runs/stages/import-*"):
        (stage / "done.json").unlink()
    (root / "moved").rename(path)
    there = Trained.load(ctx, Weights(digest, url=url))
    assert (there.key, there.accuracy(arch)) == (here.key, accuracy)
    assert sha256_file(root / "runs" / "downloads" / digest) == digest


def test_other_weights_are_refused(trained):
    root, path = trained
    ctx = Context(Workspace.open(root))
    with pytest.raises(CheckpointError, match="not 000"):
        Trained.load(ctx, Weights("0" * 64, path=path.name))
    with pytest.raises(CheckpointError, match="no such file"):
        Trained.load(ctx, Weights("0" * 64, path="elsewhere"))
    supernet = supernet_family(ctx.space).build(ctx.space, seed=0)
    other = root / "other.safetensors"
    write_weights(other, supernet, {"space": "another"})
    with pytest.raises(CheckpointError, match="weights of space another"):
        Trained.load(ctx, Weights(sha256_file(other), path=other.name))
    (root / "text").write_text("no weights at all")
    with pytest.raises(CheckpointError):
        Trained.load(ctx, Weights(sha256_file(root / "text"), path="text"))
    assert not list(root.glob("runs/stages/import-*/done.json"))


def test_weights_of_a_space_are_read_whatever_else_they_are_of(trained):
    root, path = trained
    ctx = Context(Workspace.open(root))
    supernet = supernet_family(ctx.space).build(ctx.space, seed=5)
    before = next(iter(supernet.parameters())).clone()
    read_weights_of(path, supernet, space=ctx.space.id)
    assert not torch.equal(before, next(iter(supernet.parameters())))


DIGEST = "a" * 64


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f'sha256 = "{DIGEST}"', "either path or url"),
        (f'sha256 = "{DIGEST}"\npath = "x"\nurl = "https://a/b"', "either path or url"),
        ('path = "x"', "sha256' is missing"),
        (f'path = "x"\nsha256 = "{DIGEST[1:]}"', "64 digits"),
        (f'url = "ftp://a/b"\nsha256 = "{DIGEST}"', "http or https"),
        (f'url = "https://a b/c"\nsha256 = "{DIGEST}"', "http or https"),
        (f'file = "x"\nsha256 = "{DIGEST}"', "unknown key"),
    ],
)
def test_a_wrong_table_is_named(workspace, pretend, text, words):
    recipe = workspace / "export" / "recipes" / "toy-litert.toml"
    recipe.write_text(f"{recipe.read_text()}\n[weights]\n{text}\n")
    with pytest.raises(ConfigError, match=words) as problem:
        _ = Workspace.open(workspace).recipes
    assert "toy-litert.toml" in str(problem.value)


def test_a_recipe_may_name_weights(workspace, pretend):
    recipe = workspace / "export" / "recipes" / "toy-litert.toml"
    recipe.write_text(f'{recipe.read_text()}\n[weights]\nurl = "https://host/w.safetensors"\nsha256 = "{DIGEST}"\n')
    found = Workspace.open(workspace).recipes["toy-litert"].weights
    assert found == Weights(DIGEST, url="https://host/w.safetensors")
    assert found.source == "https://host/w.safetensors"
