"""`edge-station check`."""

import json

import cv2
from click.testing import CliRunner

from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.store import write_bundle_manifest
from edge_runtime.station.cli import main
from tests.support import spot_bundle


def test_a_good_bundle_agrees_in_each_precision(packed):
    done = CliRunner().invoke(main, ["check", "--bundle", str(packed)])
    assert done.exit_code == 0
    assert "colours 1: 8 files whole" in done.output
    assert "cpu fp32: agrees, worst score difference 0" in done.output
    assert "cpu fp16: agrees" in done.output


def test_a_model_that_differs_is_named_with_figures(bundle):
    document = json.loads((bundle / "golden.json").read_text())
    document["tolerance"]["fp16"] = 1.0
    document["frames"][4]["scores"][0] += 0.5
    (bundle / "golden.json").write_text(json.dumps(document))
    write_bundle_manifest(bundle, Manifest.from_json(json.loads((bundle / "manifest.json").read_text())))
    done = CliRunner().invoke(main, ["check", "--bundle", str(bundle)])
    assert done.exit_code == 1
    assert "cpu fp32: DIFFERS, worst score difference 0.5, allowed 0.0001" in done.output
    assert "cpu fp16: agrees, worst score difference 0.5, allowed 1" in done.output


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


def test_a_map_that_is_not_where_the_score_comes_from_is_told(tmp_path):
    folder = spot_bundle.make_bundle(tmp_path / "bundle")
    document = json.loads((folder / "manifest.json").read_text())
    document["head"]["pooling"]["kind"] = "lse"
    write_bundle_manifest(folder, Manifest.from_json(document))
    done = CliRunner().invoke(main, ["check", "--bundle", str(folder)])
    assert done.exit_code == 1
    assert "cpu fp32: agrees" in done.output
    assert "FAIL  cpu fp32: the model's map and fault score do not belong together" in done.output


def test_the_limits_of_a_bundle_are_told(tmp_path):
    folder = spot_bundle.make_bundle(tmp_path / "bundle", evidence="pictures")
    done = CliRunner().invoke(main, ["check", "--bundle", str(folder)])
    assert done.exit_code == 0
    told = (
        "the smallest fault that can be seen is 4 pixels of the 32 x 16 that the model looks at (25.0 % of the shorter"
    )
    assert told in done.output
    assert "the map is not evidence: it was trained without boxes" in done.output
    assert "line_hot: not supported: the score does not rest on the fault" in done.output
    assert "pole_hot" not in done.output


def test_the_smallest_fault_is_told_in_pixels_of_each_camera_and_region(tmp_path):
    spot_bundle.make_bundle(tmp_path / "bundle")
    (tmp_path / "frames").mkdir()
    cv2.imwrite(str(tmp_path / "frames" / "a.png"), spot_bundle.scene("line", height=160, width=320))
    text = '[station]\nname = "s"\nstate_dir = "state"\nbundle = "bundle"\n[http]\nport = 0\n'
    text += f'[[camera]]\nname = "yard"\nurl = "{tmp_path / "frames"}"\n'
    text += f'[[camera]]\nname = "gate"\nurl = "{tmp_path / "frames"}"\nregions = [[0.0, 0.0, 0.5, 0.5]]\n'
    text += "masks = [[0.0, 0.75, 1.0, 0.25]]\n"
    (tmp_path / "station.toml").write_text(text)
    done = CliRunner().invoke(main, ["check", "--config", str(tmp_path / "station.toml")])
    seen = "the smallest fault that can be seen"
    assert f"camera yard: 320 x 160 pixels; {seen} is 40 pixels, 25.0 % of the shorter side" in done.output
    hidden = "its masks hide 25 % of the picture"
    assert (
        f"camera gate: 320 x 160 pixels; {hidden}; {seen} in region-1 is 20 pixels, 12.5 % of the shorter"
        in done.output
    )


def test_how_long_files_are_kept_is_told(tmp_path):
    spot_bundle.make_bundle(tmp_path / "bundle")
    for days, told in ((0, "are kept as long as there is room for them"), (30, "are deleted after 30 days, delivered")):
        text = f'[station]\nname = "s"\nstate_dir = "state"\nretention_days = {days}\n[http]\nport = 0\n'
        (tmp_path / "station.toml").write_text(text)
        done = CliRunner().invoke(main, ["check", "--config", str(tmp_path / "station.toml")])
        assert f"ok    pictures, scores and archives of feedback {told}" in done.output
