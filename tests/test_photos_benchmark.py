"""The benchmark of photos: what it calls not to follow their number, and photos that can be read."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import photos as benchmark  # noqa: E402  # beside the tests, not installed

MB = 1_000_000


def run(photos, worker, coordinator=90):
    """A made-up run."""
    peak = {"coordinator": coordinator * MB, "fork server": 640 * MB, "worker": worker * MB}
    return benchmark.Measured("x", photos, peak, 9.0, (4.0, 2.0), int(photos * 0.6), int(photos * 0.2))


def test_what_follows_the_number_of_photos_is_named():
    assert benchmark.broken(run(2000, 720), run(8000, 740), 100 * MB) == []
    (said,) = benchmark.broken(run(2000, 720), run(8000, 1600), 100 * MB)
    assert said == "the worker held 1,600 MB with 8,000 photos, 720 MB with 2,000"
    (said,) = benchmark.broken(run(2000, 720), run(8000, 720, coordinator=100), 100 * MB)
    assert said.startswith("the coordinator held 100 MB")


def test_photos_that_fit_into_memory_prove_nothing():
    said = benchmark.broken(run(100, 720), run(400, 720), 100 * MB)
    assert len(said) == 2
    assert all("make" in sentence for sentence in said)


def test_rates_count_the_photos_that_are_validated_on():
    assert run(1000, 720).rates == (200.0, 400.0)
    assert run(1000, 720).decoded == 800 * 250 * 250 * 3


@pytest.mark.parametrize("count", [4])
def test_photos_are_made_of_both_kinds(tmp_path, count):
    from PIL import Image

    folder = benchmark.make_photos(tmp_path / "made", count)
    found = sorted(folder.rglob("*.jpg"))
    assert [path.parent.name for path in found] == ["bright", "bright", "dark", "dark"]
    for path in found:
        with Image.open(path) as image:
            assert image.size == (250, 250)
