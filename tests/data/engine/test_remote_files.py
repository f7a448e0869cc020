"""Tables in stores such as S3: the same numbers as from files, and no credentials in anything that is written."""

from __future__ import annotations

import glob
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from pyarrow import fs

import attribution as at
from attribution.data.engine import Files, RemotePath, find_remote, remote
from attribution.data.loading.raw_tables import group_files, list_files
from attribution.errors import InputError
from attribution.pipeline.output import replaced_folder
from tests.cli.test_cli import call
from tests.daily_logs import log_of

KEY, SECRET = "AKIAPLANTEDKEY00", "planted/secret+0123456789"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_REGION": "eu-west-1",
    "GS_ACCESS_KEY_ID": KEY,
    "GS_SECRET_ACCESS_KEY": SECRET,
}
EXPERIMENT = """
name = "shop"
[tables.touchpoints]
source = "{touchpoints}"
[tables.conversions]
source = "{conversions}"
[tracking]
enabled = false
[[models]]
model = "Linear"
"""


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Stores are opened anew: the environment changes from test to test."""
    yield
    remote.filesystem.cache_clear()
    remote._fsspec_view.cache_clear()


# ------------------------------------------------------------ which objects an address names

NAMES = (
    "b/touches/day=1/a.parquet",
    "b/touches/day=2/a.parquet",
    "b/touches/day=2/deep/b ü.parquet",
    "b/touches/[odd].parquet",
    "b/touches/.hidden.parquet",
    "b/touches/.hidden/a.parquet",
    "b/touches/a.csv",
    "b/other/a.parquet",
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of a store."""
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("customer_id,touched_at,channel\n")
    store = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    monkeypatch.setattr(remote, "filesystem", lambda scheme: store)
    return tmp_path


@pytest.mark.parametrize(
    "pattern",
    [
        "b/touches/*.parquet",
        "b/touches/*/*.parquet",
        "b/touches/**/*.parquet",
        "b/**/a.*",
        "b/*/day=[12]/a.parquet",
        "b/touches/day=?/**/*.parquet",
        "b/touches/[[]odd].parquet",
        "b/touches/.h*/*",
        "b/**",
    ],
)
def test_patterns_mean_what_they_mean_for_files(pattern: str, folder: Path) -> None:
    expected = [path for path in glob.glob(pattern, root_dir=folder, recursive=True) if (folder / path).is_file()]
    assert expected
    assert [path.key for path in find_remote("touchpoints", f"s3://{pattern}")] == sorted(expected)


def test_a_name_with_brackets_is_the_object_of_that_name(folder: Path) -> None:
    assert find_remote("touchpoints", "S3://b/touches/[odd].parquet") == [RemotePath("s3", NAMES[3])]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("s3://b/touches/none.parquet", "does not exist"),
        ("s3://b/touches/*.json", "no file matches s3://b/touches/"),
        ("s3://b/nowhere/*/x.csv", "no file matches"),
        ("s3://b/touches", "is a folder"),
        ("s3://*/a.csv", "must begin with the name of a bucket"),
        ("https://host/a.csv", "of this kind cannot be read"),
        ("s3://key:pass@b/a.csv", "must not contain credentials"),
    ],
)
def test_addresses_that_name_nothing_are_refused(address: str, said: str, folder: Path) -> None:
    with pytest.raises(InputError, match=said) as refused:
        list_files("touchpoints", address, Path())
    assert "key:pass" not in str(refused.value)


def test_columns_are_found_before_anything_is_read(folder: Path) -> None:
    paths, _ = list_files("touchpoints", "s3://b/touches/a.csv", Path())
    (found,) = group_files("touchpoints", Files(tuple(paths), "csv"))
    assert (found.format, found.columns) == ("csv", ("customer_id", "touched_at", "channel"))


@pytest.mark.parametrize("out", ["s3://bucket/out", "gs://bucket/a/b"])
def test_nothing_is_written_to_a_store(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    t, c = log_of(5, customers=20)
    scorer = at.Scorer.of(at.Linear().fit(at.build_journeys(at.load_sources(t, c))), name="m").save(tmp_path / "m")
    t.to_parquet("t.parquet")
    c.to_parquet("c.parquet")
    Path("shop.toml").write_text(EXPERIMENT.format(touchpoints="t.parquet", conversions="c.parquet"))
    before = sorted(tmp_path.iterdir())
    tables = ("--touchpoints", "t.parquet", "--conversions", "c.parquet")
    for command in (
        ("score", "m", *tables, "--out", out),
        ("summarise", "shop.toml", "--to", out),
    ):
        assert call(monkeypatch, *command) == 2
        said = capsys.readouterr().err
        assert "no way to rename a folder" in said
        assert out in said
    with pytest.raises(InputError, match="no way to rename a folder"):
        scorer.save(out)
    with pytest.raises(InputError, match="no way to rename a folder"), replaced_folder(Path(out), kind="run"):
        pass
    assert sorted(tmp_path.iterdir()) == before


def test_a_store_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(InputError, match="s3:// does not answer") as refused:
        find_remote("touchpoints", "s3://bucket/a.parquet")
    assert SECRET not in str(refused.value)
    assert "AWS_ACCESS_KEY_ID" in str(refused.value)


def test_without_the_package_between_them_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.implementations.arrow", None)
    with pytest.raises(InputError, match=r"journey-attribution\[cloud\]"):
        at.DuckDBEngine().query("select * from 's3://bucket/a.parquet'")


# ------------------------------------------------------------ a store


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server that speaks the language of S3, on this machine."""
    pytest.importorskip("moto")
    pytest.importorskip("fsspec")
    code = (
        "from moto.server import ThreadedMotoServer as S; s = S('127.0.0.1', 0, verbose=False); s.start(); "
        "print(*s.get_host_and_port(), flush=True); import sys; sys.stdin.read()"
    )
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        host, port = process.stdout.readline().split()
        _wait(f"http://{host}:{port}/moto-api/")
        yield f"http://{host}:{port}"
        process.stdin.close()


def _wait(address: str) -> None:
    for _ in range(100):
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except urllib.error.URLError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the server does not answer")


@pytest.fixture(scope="module")
def shop(server: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log as files and as objects: touchpoints in Parquet, two days of them; orders in CSV."""
    here = tmp_path_factory.mktemp("log") / "shop"
    touchpoints, conversions = log_of(20)
    (here / "touches" / "day=1").mkdir(parents=True)
    (here / "touches" / "day=2").mkdir()
    touchpoints[:500].to_parquet(here / "touches" / "day=1" / "a.parquet", index=False)
    touchpoints[500:].to_parquet(here / "touches" / "day=2" / "搜 b.parquet", index=False)
    conversions.to_csv(here / "orders.csv.gz", index=False)
    store = fs.S3FileSystem(
        access_key=KEY, secret_key=SECRET, endpoint_override=server, region="eu-west-1", allow_bucket_creation=True
    )
    store.create_dir("shop")
    fs.copy_files(str(here), "shop", source_filesystem=fs.LocalFileSystem(), destination_filesystem=store)
    return here


@pytest.fixture
def credentials(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": server, "GS_ENDPOINT_URL": server}.items():
        monkeypatch.setenv(name, value)


def texts_below(folder: Path) -> Iterator[bytes]:
    yield from (path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.usefixtures("credentials")
def test_a_run_and_its_scores_are_those_of_files(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    far, near = (
        (f"{where}shop/touches/**/*.parquet", f"{where}shop/orders.csv.gz") for where in ("s3://", f"{shop.parent}/")
    )
    text = EXPERIMENT.format(touchpoints=far[0], conversions=far[1])
    Path("shop.toml").write_text(text, encoding="utf-8")
    assert call(monkeypatch, "run", "shop.toml", "--out", "run") == 0
    assert call(monkeypatch, "export", "run", "--to", "m") == 0
    for out, (touchpoints, conversions) in {"far": far, "near": near}.items():
        tables = ("--touchpoints", touchpoints, "--conversions", conversions)
        assert call(monkeypatch, "score", "m", *tables, "--out", out, "--log", "json") == 0
    expected = at.attribute(at.build_journeys(at.load_sources(*near)), [at.Linear()], chance=True).table
    pd.testing.assert_frame_equal(pd.read_parquet("run/credit.parquet"), expected, check_dtype=False)
    days = [sorted(Path(out).glob("journey_credit/*/*.parquet")) for out in ("far", "near")]
    assert [path.read_bytes() for path in days[0]] == [path.read_bytes() for path in days[1]]
    assert len(days[0]) > 10
    told = capsys.readouterr()
    written = b"".join([*texts_below(tmp_path), told.out.encode(), told.err.encode()])
    assert SECRET.encode() not in written
    assert KEY.encode() not in written


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    "touchpoints", ["gs://shop/touches/*/*.parquet", "select * from read_parquet('s3://shop/touches/*/*.parquet')"]
)
def test_queries_and_keys_of_google_read_the_same(touchpoints: str, shop: Path) -> None:
    far = at.load_sources(touchpoints, "gs://shop/orders.csv.gz")
    near = at.load_sources(f"{shop}/touches/*/*.parquet", shop / "orders.csv.gz")
    credit = [at.attribute(at.build_journeys(sources), [at.Linear()]).table for sources in (far, near)]
    pd.testing.assert_frame_equal(*credit)


@pytest.mark.usefixtures("shop", "credentials")
def test_a_process_ends_without_a_word(tmp_path: Path) -> None:
    """What is left open in DuckDB must not be complained about on stderr, which is for lines of JSON."""
    code = (
        "import attribution as at; s = at.load_sources('s3://shop/touches/*/*.parquet', 's3://shop/orders.csv.gz'); "
        "print(int(at.build_journeys(s).total('conversions')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 50
    assert done.stderr == ""


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.usefixtures("shop", "credentials")
def test_spark_reads_what_duckdb_reads(tmp_path: Path) -> None:
    """Without Hadoop's reader for the store, which is the user's to add, DuckDB reads in Spark's tasks.

    In a process of its own: the workers of a session have the environment that it was started in.
    """
    from attribution.data.engine.spark import session

    try:
        session.check_packages()
        session.check_java()
    except InputError as error:
        pytest.skip(str(error))
    code = (
        "import sys, attribution as at\n"
        "tables = ('s3://shop/touches/*/*.parquet', 's3://shop/orders.csv.gz')\n"
        "engine = at.SparkEngine(master='local[1]') if sys.argv[1] == 'spark' else at.DuckDBEngine()\n"
        "journeys = at.build_journeys(at.load_sources(*tables, engine=engine))\n"
        "at.attribute(journeys, [at.Markov()]).table.to_parquet(sys.argv[2])\n"
    )
    for engine in ("spark", "duckdb"):
        subprocess.run([sys.executable, "-c", code, engine, tmp_path / engine], check=True)
    pd.testing.assert_frame_equal(*(pd.read_parquet(tmp_path / name) for name in ("spark", "duckdb")), check_exact=True)
