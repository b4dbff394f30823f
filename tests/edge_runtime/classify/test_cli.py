"""`edge-classify` as a user meets it: a process with arguments, streams and an exit code."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from PIL import Image

from tests.support.interrupts import HEARING_INTERRUPTS
from tests.support.pictures import BLUE, GREEN, RED, make_hostile, mjpeg_avi, picture, write

# Runs the command and prints its peak memory. A child counts its parent's pages as its own until it starts, so the test
# process, with all that it has loaded, must not be the parent.
MEASURED = """
import resource, subprocess, sys
code = subprocess.call([sys.executable, "-m", "edge_runtime.classify", *sys.argv[1:]], stdout=subprocess.DEVNULL)
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak(*arguments):
    """Exit code and peak resident megabytes."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, arguments)], capture_output=True, text=True, timeout=120
    )
    assert "Traceback" not in done.stderr
    code, kilobytes = map(int, done.stdout.split())
    return code, kilobytes / 1024


def records(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def red(tmp_path):
    return write(tmp_path / "red.png", picture(RED))


@pytest.fixture
def green(tmp_path):
    return write(tmp_path / "green.png", picture(GREEN))


def test_a_line_holds_all_that_is_promised(classify, red, packed):
    done = classify(red, "--format", "jsonl", "--engine", "cpu")
    (record,) = records(done)
    assert done.returncode == 10
    # Half of the frame at 255 and half at 127: mean red 191, logits 0, 191 / 32, 0, so p = 1 / (1 + 2 exp(-191 / 32)).
    assert record["probability"] == pytest.approx(0.994910, abs=2e-6)
    top = [entry["label"] for entry in record.pop("top")]
    assert top == ["rust", "normal", "leak"]
    digest = subprocess.run(["sha256sum", packed / "manifest.json"], capture_output=True, text=True).stdout.split()[0]
    assert record.pop("model") == {"name": "colours", "version": "1", "digest": digest}
    assert set(record.pop("ms")) == {"decode", "preprocess", "infer"}
    assert record.pop("health")["std"] == 64.0
    expected = {"path": str(red), "status": "ok", "reason": None, "label": "rust", "fault": True, "threshold": 0.4}
    assert record.items() >= expected.items()
    assert (record["engine"], record["precision"], record["frame"], record["notes"]) == ("cpu", "fp32", None, [])


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["green.png"], 0),
        (["green.png", "red.png"], 10),
        (["green.png", "missing.png"], 11),
        (["missing.png", "red.png", "green.png"], 10),
        (["black.png"], 11),
    ],
)
def test_exit_codes(classify, tmp_path, red, green, names, code):
    write(tmp_path / "black.png", picture((0, 0, 0)))
    done = classify(*(tmp_path / name for name in names))
    assert done.returncode == code
    assert [record["path"] for record in records(done)] == [str(tmp_path / name) for name in names]


def test_a_blank_frame_never_gets_a_class(classify, tmp_path):
    (record,) = records(classify(write(tmp_path / "black.png", picture((0, 0, 0)))))
    assert record["status"] == "not_evaluable"
    assert "black" in record["reason"]
    assert record["label"] is record["probability"] is record["fault"] is None
    assert record["health"]["mean"] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "Missing argument"),
        (["x.png", "--format", "xml"], 2, "xml"),
        (["x.png", "--threads", "0"], 2, "threads"),
        (["x.png", "--bundle", "nowhere"], 1, "nowhere is no bundle"),
        (["x.png", "--precision", "int8"], 1, "holds no int8 model"),
        (["x.png", "--engine", "tensorrt"], 1, "the engine tensorrt is not here"),
        (["x.png", "--output", "no/such/folder"], 1, "cannot be written"),
        (["x.png", "--output", "a.x", "--report", "./a.x"], 2, "name the same file"),
        ([""], 2, "a path is empty"),
    ],
)
def test_errors_are_one_sentence(classify, arguments, code, words):
    done = classify(*arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("option", ["--output", "--report"])
def test_evidence_is_never_overwritten(classify, red, green, option):
    before = green.read_bytes()
    done = classify(red, option, green)
    assert (done.returncode, done.stdout) == (1, "")
    assert "green.png may be evidence" in done.stderr
    assert green.read_bytes() == before
    assert classify(red, option, red.with_suffix(".txt")).returncode == 10
    assert classify(red, option, red.with_suffix(".txt")).returncode == 10  # its own older output is replaced


@pytest.mark.parametrize(("redirection", "words"), [("- <&-", "standard input is closed"), ("x >&-", "give --output")])
def test_a_closed_stream_is_a_sentence(redirection, words):
    command = f'"{sys.executable}" -m edge_runtime.classify {redirection}'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert words in done.stderr


def test_without_any_bundle_it_says_how_to_give_one(classify, monkeypatch):
    monkeypatch.delenv("RAREFAULT_BUNDLE")
    done = classify("x.png")
    assert done.returncode == 1
    assert "give --bundle DIR, set RAREFAULT_BUNDLE, or fetch one with --update" in done.stderr


def test_a_damaged_bundle_is_an_error_before_any_result(classify, bundle, red):
    (bundle / "model.fp32.onnx").write_bytes(b"")
    done = classify(red, "--bundle", bundle)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is 0 bytes, the manifest says" in done.stderr


def test_a_damaged_model_is_told_once_and_not_by_every_engine_in_turn(classify, bundle, red):
    model = bundle / "model.fp32.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"?")
    done = classify(red, "--bundle", bundle)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {model} has sha256")


def test_paths_come_from_standard_input_in_order(classify, red, green):
    done = classify("-", input=f"{red}\n\n{green}\r\n{red}\n")
    assert [record["path"] for record in records(done)] == [str(red), str(green), str(red)]


def test_an_empty_list_is_not_a_clean_bill(classify):
    assert classify("-", input="").returncode == 11


def test_hostile_files_each_get_a_line_under_a_gigabyte(classify, tmp_path, packed):
    expected = make_hostile(tmp_path)
    done = classify(tmp_path)
    assert done.returncode == 10
    assert "Traceback" not in done.stderr
    reasons = {Path(record["path"]).name: record["reason"] for record in records(done)}
    assert list(reasons) == sorted(expected)
    for name, words in expected.items():
        assert (reasons[name] is None) if not words else (words in reasons[name])
    code, megabytes = peak(tmp_path)
    assert code == 10
    assert megabytes < 1000


def test_the_largest_picture_that_is_read_stays_under_a_gigabyte(classify, tmp_path):
    frame = cv2.resize(picture(RED), (8000, 8000))
    write(tmp_path / "large.jpg", frame)
    code, megabytes = peak(tmp_path / "large.jpg", "--heatmap", tmp_path / "heat")
    assert code == 10
    assert megabytes < 1000


def test_one_picture_takes_little_memory(classify, red):
    code, megabytes = peak(red)
    assert code == 10
    assert megabytes < 150  # the engine's and the decoder's libraries; a ResNet50 adds about 200


def test_csv_and_table_say_the_same(classify, red, tmp_path):
    (row,) = csv.DictReader(io.StringIO(classify(red, "--format", "csv").stdout))
    assert (row["label"], row["fault"], row["model.name"]) == ("rust", "True", "colours")
    table = classify(red, tmp_path / "missing.png", "--format", "table").stdout.splitlines()
    assert table[0].split()[:3] == ["FAULT", "rust", "0.995"]
    assert table[1].startswith("?      not evaluated: missing.png does not exist")


def test_output_goes_to_the_file(classify, red, tmp_path):
    done = classify(red, "--output", tmp_path / "out.jsonl")
    assert done.stdout == ""
    assert json.loads((tmp_path / "out.jsonl").read_text())["label"] == "rust"


def test_a_full_disk_is_a_sentence(classify, red):
    done = classify(red, "--output", "/dev/full")
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_heat_map_lies_on_the_evidence(classify, red, tmp_path):
    (record,) = records(classify(red, "--heatmap", tmp_path / "heat"))
    picture = cv2.imread(record["heatmap"])
    assert picture.shape == (48, 64, 3)
    right, left = picture[24, 56].astype(int), picture[24, 8].astype(int)
    assert right[2] - right[0] > left[2] - left[0]  # the right half is redder in the input, so hotter


def test_odd_names_survive_every_format(classify, tmp_path):
    folder = tmp_path / "Überhitzung 変圧器"
    folder.mkdir()
    raw = os.fsencode(folder) + b"/line\nbreak \x1b[31m \xff.png"
    write(Path(os.fsdecode(raw)), picture(RED))
    (record,) = records(classify(folder))
    assert os.fsencode(record["path"]) == raw
    table = classify(folder, "--format", "table").stdout
    assert table.count("\n") == 1
    assert "\x1b" not in table
    assert classify(folder, "--format", "csv").returncode == 10


def test_a_video_gives_one_line_per_sampled_frame(classify, tmp_path):
    path = mjpeg_avi(tmp_path / "v.avi", [GREEN, RED, BLUE])
    done = classify(path)
    assert done.returncode == 10
    seen = [(record["frame"], record["seconds"], record["label"]) for record in records(done)]
    assert seen == [(0, 0.0, "normal"), (10, 1.0, "rust"), (20, 2.0, "leak")]


def test_a_cut_off_video_gives_its_frames_and_a_line(classify, tmp_path):
    path = mjpeg_avi(tmp_path / "v.avi", [GREEN] * 4)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    done = classify(path)
    *frames, last = records(done)
    assert done.returncode == 11
    assert [record["label"] for record in frames] == ["normal"] * len(frames)
    assert frames
    assert "announced frames" in last["reason"]


def test_evidence_that_was_not_looked_at_is_never_a_clean_bill(classify, tmp_path, green):
    (tmp_path / "IMG_2.HEIC").write_bytes(b"\0\0\0\x14ftypavif\0\0\0\0avif")
    (tmp_path / "notes.txt").write_text("nothing seen")
    (tmp_path / "Thumbs.db").write_bytes(bytes(64))
    done = classify(tmp_path)
    assert done.returncode == 11
    reasons = {Path(record["path"]).name: record["reason"] for record in records(done)}
    assert reasons == {
        "green.png": None,
        "IMG_2.HEIC": "IMG_2.HEIC is an AVIF picture, which is not read; save it as JPEG",
    }
    assert "left out: 1 made by systems, 1 without pictures (such as notes)" in done.stderr


def test_a_video_plays_by_its_content_whatever_its_name_is(classify, tmp_path):
    path = mjpeg_avi(tmp_path / "v.avi", [GREEN, RED])
    for name in ("VID_1.3gp", "VID_2", "VID_3.jpg"):
        done = classify(path.rename(tmp_path / name))
        assert done.returncode == 10
        assert [record["label"] for record in records(done)] == ["normal", "rust"]
        path = tmp_path / name


def test_every_page_is_judged(classify, tmp_path):
    pages = [Image.fromarray(picture(colour)[..., ::-1]) for colour in (GREEN, GREEN, RED)]
    pages[0].save(tmp_path / "visit.tif", save_all=True, append_images=pages[1:])
    done = classify(tmp_path, "--heatmap", tmp_path / "heat")
    assert done.returncode == 10
    seen = [(record["page"], record["label"]) for record in records(done)]
    assert seen == [(1, "normal"), (2, "normal"), (3, "rust")]
    assert len(list((tmp_path / "heat").iterdir())) == 3


def test_the_film_behind_a_motion_photo_is_judged_too(classify, tmp_path):
    film = cv2.VideoWriter(str(tmp_path / "v.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 48))
    for _ in range(12):
        film.write(picture(RED))
    film.release()
    still = cv2.imencode(".jpg", picture(GREEN))[1].tobytes()
    (tmp_path / "MVIMG_1.jpg").write_bytes(still + (tmp_path / "v.mp4").read_bytes())
    done = classify(tmp_path / "MVIMG_1.jpg")
    assert done.returncode == 10
    seen = [(record["seconds"], record["label"]) for record in records(done)]
    assert seen == [(None, "normal"), (0.0, "rust"), (1.0, "rust")]
    assert records(done)[1]["notes"] == ["of the film behind the picture"]


def test_its_own_output_is_not_read_as_input(classify, tmp_path, red, green):
    outputs = ("--heatmap", tmp_path / "heat", "--report", tmp_path / "r.html", "--output", tmp_path / "r.jsonl")
    for left_out in (2, 4):
        done = classify(tmp_path, *outputs)
        lines = (tmp_path / "r.jsonl").read_text().splitlines()
        assert [Path(json.loads(line)["path"]).name for line in lines] == ["green.png", "red.png"]
        assert f"{left_out} of rarefault's own output" in done.stderr


def test_csv_opens_in_excel(classify, red):
    raw = subprocess.run(
        [sys.executable, "-m", "edge_runtime.classify", str(red), "--format", "csv"], capture_output=True, timeout=60
    )
    assert raw.stdout.startswith(b"\xef\xbb\xbfpath,")


def test_bench_prints_each_stage_apart(classify, red):
    done = classify(red, "--bench")
    assert json.loads(done.stdout)["label"] == "rust"
    rows = {line[:12].strip(): line.split()[-1] for line in done.stderr.splitlines()}
    assert {"decode", "preprocess", "infer", "raw engine"} <= set(rows)
    assert re.search(r"images a second end to end, the engine alone [0-9.]+, \d+ at once each: 0\.\d\d", done.stderr)


def test_results_appear_while_the_list_is_still_growing_and_a_closed_pipe_ends_quietly(classify, red):
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_runtime.classify", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        process.stdin.write(f"{red}\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["label"] == "rust"  # standard input is still open
        process.stdout.close()
        process.stdin.write(f"{red}\n" * 3)
        process.stdin.close()
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 1


def test_an_interrupt_while_it_waits_for_a_list_ends_it_quietly(red, packed, monkeypatch):
    monkeypatch.setenv("RAREFAULT_BUNDLE", str(packed))
    command = [*HEARING_INTERRUPTS, sys.executable, "-m", "edge_runtime.classify", red, "-"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True) as child:
        assert json.loads(child.stdout.readline())["path"] == str(red)
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 1
        assert "Fatal" not in child.stderr.read()


def test_the_same_picture_gives_the_same_answer_alone_or_among_others(classify, red, green):
    alone = records(classify(red))[0]
    among = records(classify(green, red, green))[1]
    for record in (alone, among):
        del record["ms"]
    assert alone == among
