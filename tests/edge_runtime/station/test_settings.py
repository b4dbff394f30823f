"""`station.toml`: what is accepted, what is refused and in which words, and where secrets may come from."""

import dataclasses
import re
import socket
from pathlib import Path

import pytest

from edge_runtime.alerts.settings import MqttSection, SamplesSection, WebhookSection
from edge_runtime.alerts.votes import VoteRule
from edge_runtime.bundle.errors import InputError, UnavailableError
from edge_runtime.cameras.address import parse_address
from edge_runtime.cameras.settings import CameraSettings
from edge_runtime.judgements.settings import FeedbackSection
from edge_runtime.settings_reader import tomllib
from edge_runtime.station.settings import (
    HttpSection,
    StationSection,
    StationSettings,
    load_station_settings,
)
from edge_runtime.updates.settings import UpdatesSection
from edge_runtime.web.settings import PageSection
from tests.support import ROOT
from tests.support.colour_bundle import RULE

WHOLE = """
[station]
name = "north-7"
state_dir = "state"
bundle = "/srv/bundle"

[[camera]]
name = "yard-3"
url = "rtsp://10.0.0.3/main"
username = "viewer"
password_file = "secrets/yard-3"
regions = [[0.0, 0.25, 1, 0.75]]
floor_rate = 1

[[camera]]
name = "gate"
url = "usb:0"

[decision]
needed = 3
window = 4
thresholds = { rust = 0.5 }

[decision.camera.yard-3]
window = 5
cooldown = 60
thresholds = { leak = 0.8 }

[mqtt]
host = "broker.local"
username = "north-7"
password_file = "secrets/mqtt"

[webhook]
url = "https://hq.local/events"
secret_file = "secrets/webhook"

[http]
port = 9465
"""
LEAST = '[station]\nname = "s"\n'


def load(folder: Path, text: str) -> StationSettings:
    path = folder / "station.toml"
    path.write_text(text)
    return load_station_settings(path)


@pytest.fixture
def whole(tmp_path: Path) -> StationSettings:
    (tmp_path / "secrets").mkdir()
    for name in ("yard-3", "mqtt", "webhook"):
        (tmp_path / "secrets" / name).write_text(f"of {name}/@\n")
    return load(tmp_path, WHOLE)


def test_the_whole_document_is_read(whole, tmp_path):
    assert whole.station.name == "north-7"
    assert whole.station.state_dir == tmp_path / "state"
    assert whole.station.bundle == Path("/srv/bundle")
    assert [camera.name for camera in whole.camera] == ["yard-3", "gate"]
    assert whole.camera[0].regions == ((0.0, 0.25, 1.0, 0.75),)
    assert (whole.camera[0].floor_rate, whole.camera[1].floor_rate) == (1.0, 0.5)
    assert whole.mqtt is not None
    assert whole.mqtt.tls
    assert whole.http.port == 9465


def test_the_least_document_names_the_station(tmp_path):
    settings = load(tmp_path, LEAST)
    assert (settings.camera, settings.mqtt, settings.webhook) == ((), None, None)
    assert settings.station.state_dir == Path("/var/lib/rarefault")
    assert (settings.http.host, settings.http.port) == ("127.0.0.1", 9464)


def test_decisions_are_overridden_by_name_the_cameras_own_last(whole):
    yard, gate = whole.decision.rule("yard-3", RULE), whole.decision.rule("gate", RULE)
    assert yard.votes == VoteRule(needed=3, window=5, cooldown=60.0)
    assert gate.votes == VoteRule(needed=3, window=4)
    assert yard.decision.thresholds == {"rust": 0.5, "leak": 0.8}
    assert gate.decision.thresholds == {"rust": 0.5, "leak": 0.9}


def test_secrets_come_from_files_when_they_are_asked_for(whole, tmp_path):
    assert whole.camera[0].address() == parse_address("rtsp://10.0.0.3/main", "viewer", "of yard-3/@")
    assert whole.mqtt.password() == "of mqtt/@"
    assert whole.webhook.secret() == "of webhook/@"
    (tmp_path / "secrets" / "mqtt").write_text("new")
    assert whole.mqtt.password() == "new"
    assert "of mqtt" not in repr(whole)
    (tmp_path / "secrets" / "mqtt").unlink()
    with pytest.raises(UnavailableError, match="mqtt cannot be read"):
        whole.mqtt.password()


def test_secrets_come_from_the_environment(tmp_path, monkeypatch):
    settings = load(
        tmp_path,
        LEAST + '[[camera]]\nname = "Yard-3"\nurl = "rtsp://c/1"\nusername = "v"\n'
        '[mqtt]\nhost = "b"\n[webhook]\nurl = "https://h/e"\n',
    )
    assert settings.camera[0].address() == parse_address("rtsp://c/1", "v")
    assert settings.mqtt.password() is None
    with pytest.raises(UnavailableError, match="RAREFAULT_WEBHOOK_SECRET"):
        settings.webhook.secret()
    monkeypatch.setenv("RAREFAULT_CAMERA_YARD_3_PASSWORD", "one")
    monkeypatch.setenv("RAREFAULT_MQTT_PASSWORD", "two")
    monkeypatch.setenv("RAREFAULT_WEBHOOK_SECRET", "three")
    assert settings.camera[0].address() == parse_address("rtsp://c/1", "v", "one")
    assert (settings.mqtt.password(), settings.webhook.secret()) == ("two", "three")


def test_a_secret_address_comes_from_a_file(tmp_path):
    (tmp_path / "url").write_text("https://hooks.local/T0/hunter2\n")
    settings = load(tmp_path, LEAST + '[webhook]\nurl_file = "url"\n[[camera]]\nname = "c"\nurl_file = "url"\n')
    assert settings.webhook.address() == settings.camera[0].address().location == "https://hooks.local/T0/hunter2"
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            '[mqtt]\nhost = "b"\npassword = "hunter2"',
            r"mqtt.password is a secret.*mqtt.password_file.*RAREFAULT_MQTT_P",
        ),
        (
            '[webhook]\nurl = "https://h"\nsecret = "hunter2"',
            r"webhook.secret is .*secret_file.*RAREFAULT_WEBHOOK_SECRET",
        ),
        (
            '[[camera]]\nname = "c"\nurl = "x"\npassword = "hunter2"',
            r"camera\[0\].password is a secret.*\[0\].password_file",
        ),
        (
            '[[camera]]\nname = "c"\nurl = "rtsp://admin:hunter2@10.0.0.1/"',
            r"camera\[0\].url holds a user name, password",
        ),
        ('[[camera]]\nname = "c"\nurl = "rtsp://hunter2@10.0.0.1/"', r"camera\[0\].url holds.*url_file"),
        ('[[camera]]\nname = "c"\nurl = "rtsp://h/user=admin&password=hunter2&channel=1"', "url holds"),
        ('[[camera]]\nname = "c"\nurl = "admin:hunter2@10.0.0.5/stream"', r"camera\[0\].url holds.*url_file"),
        ('[[camera]]\nname = "c"\nurl = "hunter2@10.0.0.5"', r"camera\[0\].url holds.*url_file"),
        ('[[camera]]\nname = "c"\nurl = "rtsp:/admin:hunter2@h"', r"camera\[0\].url holds.*url_file"),
        ('[[camera]]\nname = "c"\nurl = "rtsp//admin:hunter2@h"', r"camera\[0\].url holds.*url_file"),
        ('[[camera]]\nname = "c"\nurl = "rtsp//hunter2@h/x"', r"camera\[0\].url holds.*url_file"),
        ('[[camera]]\nname = "c"\nurl = " rtsp://admin:hunter2@h"', r"camera\[0\].url holds.*url_file"),
        ('[[camera]]\nname = "c"\nurl = "rtsp:///admin:hunter2@h"', r"camera\[0\].url holds.*url_file"),
        ('[[camera]]\nname = "c"\nurl = "rtsp:/h/x?sig=hunter2"', r"camera\[0\].url holds.*url_file"),
        ('[webhook]\nurl = "https://h/e?access_token=hunter2"', "webhook.url holds"),
        ('[mqtt]\nhost = "mqtt://u:hunter2@b"', "mqtt.host holds"),
        ('[mqtt]\nhost = "b"\nport = "hunter2"', "mqtt.port is a text, expected a whole number"),
        ('[mqtt]\nhost = "b"\npasword_fil = "hunter2"', "mqtt.pasword_fil is unknown; did you mean password_file"),
        ('[mqtt]\nhost = "b"\nx = hunter2', "is no TOML"),
    ],
)
def test_a_secret_in_the_text_is_refused_and_never_repeated(tmp_path, text, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        load(tmp_path, LEAST + text + "\n")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["rtsp://h/live@1", "clips/yard@1.avi", "/srv/yard@1/a.avi", "file:///x/a@b.avi"])
def test_an_at_sign_in_a_path_is_no_secret(tmp_path, url):
    found = load(tmp_path, LEAST + f'[[camera]]\nname = "c"\nurl = "{url}"\n').camera[0].url
    assert found == (f"{tmp_path}/{url}" if url.startswith("clips") else url)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[staton]\n", "staton is unknown; did you mean station"),
        ("[mqtt]\n", "mqtt.host is missing"),
        (
            '[[camera]]\nname = "c"\nurl = "x"\nflor_rate = 1',
            r"camera\[0\].flor_rate is unknown; did you mean floor_rate",
        ),
        (
            '[camera]\nname = "c"\nurl = "x"',
            r"expected a list, whose entries begin with \[\[camera]]",
        ),
        ('[[camera]]\nname = "a/b"\nurl = "x"', "a camera is called 'a/b'; a name has 1 to 64"),
        ('[[camera]]\nname = "c"\n', r"camera\[0\]: neither url nor url_file is set"),
        ('[[camera]]\nname = "c"\nurl = "x"\nurl_file = "y"', "url and url_file are both set"),
        ('[[camera]]\nname = "c"\nurl = "usb:0"\nusername = "u"', "username is set, but usb:0 asks for none"),
        ('[[camera]]\nname = "c"\nurl = "x"\nregions = [[0.5, 0, 0.6, 1]]', "the region .* leaves the picture"),
        ('[[camera]]\nname = "c"\nurl = "x"\nregions = [[0, 0, 1]]', r"regions\[0\] has 3 values, expected 4"),
        ('[[camera]]\nname = "c"\nurl = "x"\nfloor_rate = 9', "expected 0 < floor_rate <= top_rate"),
        ('[[camera]]\nname = "c"\nurl = "x"\nfloor_rate = nan', "floor_rate is nan, expected a finite number"),
        (
            '[[camera]]\nname = "c"\nurl = "x"\nopen_timeout = 0',
            "open_timeout is 0.0, expected at least 0.1",
        ),
        ("[samples]\nrare_share = 2", "samples.rare_share is 2.0, expected 0 to 1"),
        (
            '[[camera]]\nname = "c-1"\nurl = "x"\n[[camera]]\nname = "C.1"\nurl = "y"',
            "two cameras are called c-1 and C.1",
        ),
        ('[[camera]]\nname = "c"\nurl = "x"\n[decision]\nneeded = 4', "decision of c: votes: needed is 4 and window 3"),
        ('[[camera]]\nname = "yard"\nurl = "x"\n[decision.camera.yrd]\nneeded = 1', "no camera .*; did you mean yard"),
        ('[mqtt]\nhost = "b"\ninline = ["video"]', "mqtt: inline names 'video', expected some of frame, heatmap"),
        ('[mqtt]\nhost = "b"\ntls = false\nca_file = "x"', "tls is false, but ca_file"),
        ('[mqtt]\nhost = "b"\nkey_file = "x"', "key_file is set, but cert_file is not"),
        ('[mqtt]\nhost = "mqtt://b:1883"', "mqtt: host is an address, expected a name .* as port and tls = false"),
        ('[mqtt]\nhost = "mqtts://b"', "host is an address, expected a name .* as port and tls = true"),
        ('[mqtt]\nhost = "b:1883"', "host is an address, expected a name or number alone; give its port as port"),
        ('[mqtt]\nhost = "[::1]:1883"', "host is an address"),
        ('[mqtt]\nhost = "wss://b/mqtt"', "MQTT over WebSocket, which is not spoken here"),
        ('[mqtt]\nhost = "b"\ntls = 1', "mqtt.tls is 1, expected true or false"),
        ('[webhook]\nurl = "ftp://h"', "webhook: the webhook's url is no web address"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, text, sentence):
    with pytest.raises(InputError, match=sentence):
        load(tmp_path, LEAST + text + "\n")


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"cannot be read .*--config"):
        load_station_settings(tmp_path / "station.toml")


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_host_may_have_brackets(host):
    assert MqttSection(host).address == ("::1", 8883)
    family, address = HttpSection(host, 0).place()
    assert (family, address) == (socket.AF_INET6, ("::1", 0))


EXAMPLE = ROOT / "deploy" / "station.toml"
KEY = re.compile(r"^# (\[?\[[\w.-]+\]\]?|\w+ = .+?)( +#.*)?$")


SECTIONS = {
    **{"station": StationSection, "mqtt": MqttSection, "webhook": WebhookSection, "http": HttpSection},
    **{"samples": SamplesSection, "page": PageSection, "feedback": FeedbackSection, "updates": UpdatesSection},
}


def opened_example() -> str:
    """The example with all that it has commented out."""
    return "\n".join(KEY.sub(r"\1", line) for line in EXAMPLE.read_text().splitlines())


def test_the_example_is_read_with_all_it_has_commented_out(tmp_path):
    bare = load(tmp_path, EXAMPLE.read_text())
    assert bare.decision.rule("yard-3", RULE).votes == VoteRule()
    whole = load(tmp_path, opened_example())
    assert whole.decision.rule("yard-3", RULE).votes == VoteRule(needed=3, window=5)
    assert whole.webhook is not None


def test_the_example_names_every_key_and_shows_its_default():
    whole = tomllib.loads(opened_example())
    shown = {kind: whole[name] for name, kind in SECTIONS.items()}
    shown |= {CameraSettings: whole["camera"][0], VoteRule: whole["decision"]}
    for kind, values in shown.items():
        for item in dataclasses.fields(kind):
            assert re.search(rf"\b{item.name}\b", EXAMPLE.read_text()), f"{kind.__name__}.{item.name}"
            if type(item.default) in (bool, int, float) and (kind, item.name) != (MqttSection, "port"):
                assert values[item.name] == item.default, f"{kind.__name__}.{item.name}"
