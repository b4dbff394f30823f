"""`edge-station check`."""

import json

from click.testing import CliRunner

from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.store import write_bundle_manifest
from edge_runtime.station.cli import main


def test_a_good_bundle_agrees_in_each_precision(packed):
    done = CliRunner().invoke(main, ["check", "--bundle", str(packed)])
    assert done.exit_code == 0
    assert "colours 1: 8 files whole" in done.output
    assert "cpu fp32: agrees, worst logit difference 0" in done.output
    assert "cpu fp16: agrees" in done.output


def test_a_model_that_differs_is_named_with_figures(bundle):
    document = json.loads((bundle / "golden.json").read_text())
    document["tolerance"]["fp16"] = 1.0
    document["frames"][4]["scores"][0] += 0.5
    (bundle / "golden.json").write_text(json.dumps(document))
    write_bundle_manifest(bundle, Manifest.from_json(json.loads((bundle / "manifest.json").read_text())))
    done = CliRunner().invoke(main, ["check", "--bundle", str(bundle)])
    assert done.exit_code == 1
    assert "cpu fp32: DIFFERS, worst logit difference 0.5, allowed 0.0001" in done.output
    assert "cpu fp16: agrees, worst logit difference 0.5, allowed 1" in done.output


def test_a_damaged_bundle_is_one_sentence(bundle):
    (bundle / "golden" / "00.png").unlink()
    done = CliRunner().invoke(main, ["check", "--bundle", str(bundle)])
    assert done.exit_code == 1
    assert "00.png is missing" in done.output


def test_a_bundle_without_golden_frames_does_not_end_the_check_of_the_rest(bundle, tmp_path):
    (bundle / "golden.json").unlink()
    write_bundle_manifest(bundle, Manifest.from_json(json.loads((bundle / "manifest.json").read_text())))
    text = f'[station]\nname = "s"\nstate_dir = "state"\nbundle = "{bundle}"\n[http]\nport = 0\n'
    (tmp_path / "station.toml").write_text(text + '[[camera]]\nname = "yard"\nurl = "ftp://h/x"\n')
    done = CliRunner().invoke(main, ["check", "--config", str(tmp_path / "station.toml")])
    assert done.exit_code == 1
    assert "has no golden.json" in done.output
    assert "FAIL  camera yard: misconfigured" in done.output
