"""`run_claims` runs what the registry names and writes down what, on which machine and how busy it was."""

import datetime
import json

from click.testing import CliRunner

from benchmarks.claims import Claim, Spread, at_most
from benchmarks.registry import BENCHMARKS, EDGE, Benchmark
from benchmarks.run_claims import main, run


def measure(work, options):
    """A benchmark of this test: what it is told comes back in the claim's note."""
    measured = Spread(median=1.5)
    return [Claim(id="x", question="?", measured=measured, target=at_most(1), note=f"{work.is_dir()} {options}")]


def test_a_result_says_what_was_measured_on_what(tmp_path):
    benchmark = Benchmark("probe", EDGE, "A probe", f"{__name__}:measure")
    run(benchmark, tmp_path / "work", tmp_path / "results", ["--script", "x.py", "--data", str(tmp_path)])
    written = json.loads((tmp_path / "results" / "probe.json").read_bytes())
    assert written["command"] == "python -m benchmarks.run_claims probe -- --script x.py --data PATH"
    assert written["machine"]["cores"] >= 1
    assert len(written["load"]) == 2
    (claim,) = written["parts"]
    assert claim["note"] == f"True ['--script', 'x.py', '--data', '{tmp_path}']"
    assert claim["passed"] is False


def test_an_unknown_benchmark_is_refused_with_the_known_ones():
    done = CliRunner().invoke(main, ["edge-pears"])
    assert done.exit_code == 2
    assert "edge-pears" in done.output
    assert BENCHMARKS[0].id in done.output


def test_options_need_a_benchmark_that_they_are_for():
    done = CliRunner().invoke(main, ["--", "--script", "x.py"])
    assert done.exit_code == 2
    assert "one benchmark" in done.output


def test_a_number_after_the_dashes_is_an_option_and_no_benchmark(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("benchmarks.run_claims.run", lambda *rest: asked.append((rest[0].id, rest[3])))
    assert CliRunner().invoke(main, ["records", "--", "compare", "1000"]).exit_code == 0
    assert asked == [("records", ("compare", "1000"))]


def test_what_was_measured_today_is_left_out_when_the_command_goes_on(tmp_path):
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    for benchmark in BENCHMARKS:
        (tmp_path / f"{benchmark.id}.json").write_text(json.dumps({"date": today}))
    done = CliRunner().invoke(main, ["--resume", "--results", str(tmp_path), "--work", str(tmp_path)])
    assert done.exit_code == 0
    assert done.output == ""
