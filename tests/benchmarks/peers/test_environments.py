"""The bytes of an installed tool are those of the files that its packages list."""

import pytest

from benchmarks.peers.environments import folder_bytes, installed_bytes, pins
from edge_runtime.bundle.errors import UnavailableError


def install(place, name, **files):
    """Make an installed distribution `name` with files of these sizes."""
    info = place / f"{name}-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    for file, size in files.items():
        (place / file).write_bytes(b"x" * size)
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))


def test_only_files_of_the_asked_packages_count(tmp_path):
    install(tmp_path, "some_tool", a=100, b=20)
    install(tmp_path, "other", c=7)
    assert installed_bytes(["some-tool==1"], tmp_path) == (120, 120)
    assert installed_bytes(["some-tool==1", "other==1"], tmp_path) == (127, 127)


def test_what_only_gpus_need_is_told_apart(tmp_path):
    install(tmp_path, "torch", **{"libtorch_cpu.so": 50, "libtorch_cuda.so": 70})
    install(tmp_path, "nvidia_cudnn_cu13", **{"libcudnn.so": 1000})
    assert installed_bytes(["torch==1", "nvidia-cudnn-cu13==1"], tmp_path) == (1120, 50)


def test_a_package_that_is_nowhere_is_named(tmp_path):
    with pytest.raises(UnavailableError, match="no-such-tool is installed nowhere"):
        installed_bytes(["no-such-tool==1"], tmp_path)


def test_lists_of_packages_are_read_as_one_with_names_in_one_form(tmp_path):
    (tmp_path / "a.txt").write_text("# why\nSome_Tool==1.2\nnumpy==2\n")
    (tmp_path / "b.txt").write_text("numpy==2\n")
    assert pins(tmp_path / "a.txt", tmp_path / "b.txt") == ["some-tool==1.2", "numpy==2"]


def test_byte_code_is_not_counted(tmp_path):
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_bytes(b"x" * 50)
    (tmp_path / "a.py").write_bytes(b"x" * 5)
    assert folder_bytes(tmp_path) == 5
