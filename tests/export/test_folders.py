"""One folder in the place of another."""

import threading

from export.folders import replace_folder


def test_while_folders_are_swapped_the_name_always_leads_to_one(tmp_path):
    target, missing, done = tmp_path / "target", [], threading.Event()

    def watch():
        while not done.is_set():
            if not (target / "file").exists():
                missing.append(1)

    target.mkdir()
    (target / "file").write_text("0")
    watcher = threading.Thread(target=watch)
    watcher.start()
    for turn in range(200):
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "file").write_text(str(turn))
        replace_folder(tmp_path / "new", target)
    done.set()
    watcher.join()
    assert (target / "file").read_text() == "199"
    assert not missing


def test_where_the_file_system_cannot_swap_the_folder_is_still_replaced(tmp_path):
    for name in ("new", "target", "new.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    replace_folder(tmp_path / "new", tmp_path / "target", exchange=lambda one, other: False)
    assert (tmp_path / "target" / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
