"""From the settings of cameras to plans: each camera can be started, or says in a sentence why not."""

import pytest

from edge_runtime.alerts.events import camera_status
from edge_runtime.bundle.errors import InputError
from edge_runtime.cameras.address import parse_address
from edge_runtime.cameras.regions import Region
from edge_runtime.cameras.settings import CameraSettings, plan_cameras
from edge_runtime.causes import Cause


def test_user_and_password_travel_beside_the_address(monkeypatch):
    camera = CameraSettings("yard-1", "rtsp://10.0.0.5/live", username="u@x", floor_rate=1, top_rate=8)
    monkeypatch.setenv(camera.password_variable, "p@ss/word")
    (plan,) = plan_cameras([camera])
    assert plan.address == parse_address("rtsp://10.0.0.5/live", "u@x", "p@ss/word")
    assert (plan.name, plan.problem, camera.check_rate) == ("yard-1", "", 8)
    assert "p@ss" not in repr(plan)


def test_regions_are_numbered_from_one():
    camera = CameraSettings("c", "usb:0", regions=((0, 0, 0.5, 0.5), (0, 0.5, 1, 0.5)))
    assert camera.named_regions() == (Region("region-1", 0, 0, 0.5, 0.5), Region("region-2", 0, 0.5, 1, 0.5))


def test_each_camera_that_cannot_run_has_its_sentence_and_the_order_stays(tmp_path):
    cameras = [
        CameraSettings("scheme", "ftp://h/x"),
        CameraSettings("good", "usb:0"),
        CameraSettings("host", "rtsp:///live"),
        CameraSettings("file", "nothing-there"),
        CameraSettings("secret", "rtsp://h/x", username="u", password_file=tmp_path / "none"),
        CameraSettings("address", url_file=tmp_path / "none"),
    ]
    plans = plan_cameras(cameras)
    assert [plan.name for plan in plans if plan.problem] == ["scheme", "host", "file", "secret", "address"]
    sentences = (
        "unknown scheme",
        "",
        "names no host",
        "no folder and no video file",
        "cannot be read",
        "cannot be rea",
    )
    for plan, sentence in zip(plans, sentences, strict=True):
        assert sentence in plan.problem
        assert (plan.address is None) == bool(plan.problem)


def test_a_login_in_a_secret_address_is_split_off(tmp_path):
    (tmp_path / "url").write_text("rtsp://admin:hunter2@10.0.0.5/live\n")
    (plan,) = plan_cameras([CameraSettings("c", url_file=tmp_path / "url")])
    assert plan.address == parse_address("rtsp://10.0.0.5/live", "admin", "hunter2")
    assert "hunter2" not in repr(plan)


def test_the_problem_of_a_secret_address_does_not_quote_it(tmp_path):
    (tmp_path / "url").write_text("htp://10.0.0.5/t0ken-in-the-path\n")
    (plan,) = plan_cameras([CameraSettings("c", url_file=tmp_path / "url")])
    assert f"the address in {tmp_path / 'url'} is no rtsp:// or http:// address" in plan.problem
    assert "t0ken" not in repr(plan)


@pytest.mark.parametrize(
    "url",
    ["admin:hunter22@10.0.0.5/stream", "rtsp:/admin:hunter22@h", "rtsp//admin:hunter22@h", "rtsp://u:h/unter22@h"],
)
def test_the_problem_of_a_mistyped_address_never_quotes_its_login(tmp_path, url):
    (tmp_path / "url").write_text(url)
    for plan in plan_cameras([CameraSettings("c", url), CameraSettings("d", url_file=tmp_path / "url")]):
        status = camera_status(Cause.MISCONFIGURED, plan.problem)
        assert "address" in status["problem"]
        assert "unter22" not in str(status)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("floor_rate", 9, "expected 0 < floor_rate <= top_rate"),
        ("masks", ((0.5, 0, 0.6, 1),), "the mask .* leaves the picture"),
        ("masks", ((0, 0, 1, 0.5), (0, 0.5, 1, 0.5)), "the masks leave nothing of the picture that could be judged"),
        ("regions", ((0.5, 0, 0.6, 1),), "leaves the picture"),
        ("username", "u", "usb:0 asks for none"),
        ("name", "a/b", "a camera is called 'a/b'"),
    ],
)
def test_settings_that_contradict_are_refused(key, value, sentence):
    with pytest.raises(InputError, match=sentence):
        CameraSettings(**{"name": "c", "url": "usb:0", key: value})
