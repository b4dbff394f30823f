import json
import resource

import pytest

from edge_runtime.bundle.errors import InputError, UnavailableError
from edge_runtime.labelling.journal import CANNOT_TELL, LABEL, Answer, Journal

RUST = Answer("a/1.jpg", LABEL, "rust", ((1.0, 2.0, 3.0, 4.5),), 640, 480, 2.5, proposed=True)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "labels.jsonl"


def current(path):
    with Journal(path) as journal:
        return journal.current()


def test_answers_come_back_as_they_were_given_with_who_and_when(path):
    with Journal(path) as journal:
        journal.give([RUST, Answer("a/2.jpg", CANNOT_TELL)], "anna")
    found = current(path)
    assert found["a/1.jpg"].answer == RUST
    assert found["a/1.jpg"].who == "anna"
    assert found["a/1.jpg"].when.endswith("Z")
    assert found["a/2.jpg"].answer.answer == CANNOT_TELL


def test_a_later_answer_counts_and_undoing_it_brings_the_earlier_one_back(path):
    with Journal(path) as journal:
        journal.give([RUST], "anna")
        journal.give([Answer("a/1.jpg", LABEL, "sound")], "ben")
        assert journal.current()["a/1.jpg"].answer.label == "sound"
        assert journal.undo("anna") == ["a/1.jpg"]
        assert journal.current()["a/1.jpg"].answer == RUST


def test_many_at_once_are_undone_at_once_and_nothing_is_deleted(path):
    with Journal(path) as journal:
        journal.give([Answer(f"{n}.jpg", LABEL, "sound") for n in range(40)], "anna")
        assert len(journal.undo("anna")) == 40
        assert journal.current() == {}
        assert journal.undo("anna") == []
    assert len(path.read_text().splitlines()) == 2
    assert len(json.loads(path.read_text().splitlines()[0])["answers"]) == 40


def test_a_torn_last_line_is_cut_off_and_the_journal_goes_on(path):
    with Journal(path) as journal:
        journal.give([RUST], "anna")
    with path.open("ab") as file:
        file.write(b'{"who":"anna","when":"2026-11-2')
    with Journal(path) as journal:
        assert set(journal.current()) == {"a/1.jpg"}
        journal.give([Answer("b.jpg", LABEL, "sound")], "anna")
    assert set(current(path)) == {"a/1.jpg", "b.jpg"}


def test_a_second_program_is_refused_while_the_first_has_it_open(path):
    with Journal(path), pytest.raises(UnavailableError, match="open in another program"):
        Journal(path)
    Journal(path).close()


@pytest.mark.parametrize(
    "line", ['{"who":"a"}', "no json", '{"who":"a","when":"b","answers":[{"id":"x","answer":"?"}]}']
)
def test_a_foreign_line_is_told_with_its_number(path, line):
    path.write_text('{"who":"a","when":"b","answers":[]}\n' + line + "\n")
    with pytest.raises(InputError, match="line 2 is no line of a labelling journal"):
        Journal(path)


def test_keys_of_later_versions_are_passed_over(path):
    path.write_text('{"who":"a","when":"b","mood":1,"answers":[{"id":"x","answer":"label","label":"y","angle":3}]}\n')
    assert current(path)["x"].answer == Answer("x", LABEL, "y")


def test_what_a_full_disk_refused_does_not_come_later(path):
    with Journal(path) as journal:
        journal.give([RUST], "anna")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, before[1]))  # as a disk with 10 bytes left
        try:
            with pytest.raises(UnavailableError, match="the answer is not kept"):
                journal.give([Answer("b.jpg", LABEL, "sound")], "anna")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        journal.give([Answer("c.jpg", LABEL, "sound")], "anna")
        assert journal.undo("anna") == ["c.jpg"]
    assert set(current(path)) == {"a/1.jpg"}
