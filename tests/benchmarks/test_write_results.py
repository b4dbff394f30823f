"""docs/RESULTS.md is what the results of the benchmarks say."""

from benchmarks.write_results import main
from tests.support import ROOT


def test_the_page_follows_from_the_results(tmp_path):
    main(ROOT / "docs" / "results", tmp_path / "RESULTS.md")
    assert (tmp_path / "RESULTS.md").read_text() == (ROOT / "docs" / "RESULTS.md").read_text()
