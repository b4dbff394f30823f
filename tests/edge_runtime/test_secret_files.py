"""Secrets and certificates in files: what is wrong with one names the setting, and nobody is asked at a terminal."""

import ssl
import subprocess
from pathlib import Path

import pytest

from edge_runtime.bundle.errors import UnavailableError
from edge_runtime.secret_files import read_secret, tls_context
from tests.support.own_certificate import make_certificate


@pytest.mark.parametrize("data", [b"p@s/s\n", b"\xef\xbb\xbfp@s/s\r\n", "p@s/s\r\n".encode("utf-16"), b"p@s/s"])
def test_a_secret_is_read_whatever_editor_wrote_it(tmp_path, data):
    (tmp_path / "pw").write_bytes(data)
    assert read_secret(tmp_path / "pw", "password_file") == "p@s/s"


def test_a_secret_that_cannot_be_read_names_the_setting_and_not_the_secret(tmp_path):
    (tmp_path / "pw").write_bytes(b"hunter2\xff\xfe")
    with pytest.raises(UnavailableError, match=r"password_file .*pw is no UTF-8 text") as caught:
        read_secret(tmp_path / "pw", "password_file")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(UnavailableError, match=r"secret_file .*none cannot be read .No such file"):
        read_secret(tmp_path / "none", "secret_file")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with own.crt, own.key, other.key, locked.key (passphrase `abcd`) and text.txt."""
    make_certificate(tmp_path, "own")
    make_certificate(tmp_path, "other")
    lock = "openssl rsa -aes256 -passout pass:abcd -in own.key -out locked.key"
    subprocess.run(lock.split(), cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "text.txt").write_text("no certificate\n")
    return tmp_path


@pytest.mark.parametrize(
    ("ca", "cert", "key", "sentence"),
    [
        ("none.crt", None, None, "ca_file .*none.crt cannot be read .No such file"),
        (".", None, None, "ca_file .* cannot be read .Is a directory"),
        ("text.txt", None, None, "ca_file .*text.txt holds no certificate in PEM form"),
        (None, "none.crt", "own.key", "cert_file .*none.crt cannot be read"),
        (None, "text.txt", "own.key", "cert_file .*text.txt holds no certificate"),
        (None, "own.crt", "none.key", "key_file .*none.key cannot be read"),
        (None, "own.crt", "text.txt", "key_file .*text.txt holds no key"),
        (None, "own.crt", None, "the key in cert_file .*own.crt holds no key"),
        (None, "own.crt", "other.key", "key_file .*other.key does not belong to cert_file .*own.crt"),
        (None, "own.crt", "locked.key", "key_file .*locked.key is encrypted; set key_passphrase_file"),
    ],
)
def test_each_file_that_cannot_be_used_is_named_with_its_setting(own, ca, cert, key, sentence):
    with pytest.raises(UnavailableError, match=sentence):
        tls_context(*(own / name if name else None for name in (ca, cert, key)))


def test_an_encrypted_key_is_opened_by_its_passphrase_and_a_wrong_one_is_told(own):
    files = (own / "own.crt", own / "own.crt", own / "locked.key")
    assert isinstance(tls_context(*files, lambda: "abcd"), ssl.SSLContext)
    with pytest.raises(UnavailableError, match="is encrypted, and key_passphrase_file does not open it"):
        tls_context(*files, lambda: "abce")


def test_a_ca_file_takes_the_place_of_the_authorities_of_the_system(own):
    assert tls_context(own / "own.crt").cert_store_stats()["x509"] == 1
