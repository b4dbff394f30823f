"""What an operator tells the station is kept, audited, and can be taken back."""

import time

import pytest

from edge_runtime.judgements.records import Verdict


@pytest.fixture
def post(over):
    client, token = over.client("anna")

    def send(path: str, **body):
        headers = {"X-CSRF-Token": token, "Accept": "application/json"}
        return client.post(path, json=body, headers=headers)

    return send


def audited(over) -> list[tuple[str, str, str]]:
    return [(line.who, line.what, line.subject) for line in over.desk.judgements.audit_lines()]


@pytest.mark.parametrize("verdict", ["right", "wrong", "unsure"])
def test_a_judgement_is_kept_with_its_judge_and_audited(over, post, verdict):
    said = post("/events/event-0/judge", verdict=verdict, note="seen on site").json()
    kept = over.desk.judgements.latest(["event-0"])["event-0"]
    assert (kept.verdict.value, kept.judge, kept.role, kept.note) == (verdict, "anna", "operator", "seen on site")
    assert (said["event"], said["undo"]) == ("event-0", f"/judgements/undo?id={kept.id}")
    assert ("anna", f"judged {verdict}", "event-0") in audited(over)


def test_another_class_is_one_of_the_model_s_or_a_person_s_own_word(over, post):
    for said, kept in (("leak", "leak"), (" LEAK ", "leak"), ("bird's  nest", "bird's nest")):
        assert post("/events/event-0/judge", verdict="other", true_label=said).status_code == 200
        assert over.desk.judgements.latest(["event-0"])["event-0"].true_label == kept
    client, _ = over.client("anna")
    assert "s nest" in client.get("/events/event-1?part=1").text.partition("classes-data")[2]  # offered again
    own = over.desk.events.by_id("event-0").document["label"]
    for wrong in ("", "   ", own, "x" * 201):
        assert post("/events/event-0/judge", verdict="other", true_label=wrong).status_code == 400


def test_boxes_are_kept_with_the_verdicts_that_say_there_is_a_fault_and_shown_again(over, post):
    box = [0.25, 0.5, 0.125, 0.25]
    for verdict, said in (("right", ""), ("other", "leak")):
        assert "1 box" in post("/events/event-0/judge", verdict=verdict, true_label=said, boxes=[box]).json()["message"]
        assert over.desk.judgements.latest(["event-0"])["event-0"].boxes == (tuple(box),)
    client, _ = over.client("wall")
    assert "[[0.25, 0.5, 0.125, 0.25]]" in client.get("/events/event-0?part=1").text
    post("/events/event-0/judge", verdict="wrong", boxes=[box])
    assert over.desk.judgements.latest(["event-0"])["event-0"].boxes == ()


@pytest.mark.parametrize(
    "boxes", ["all", 7, [[0, 0, 1]], [[0.5, 0.5, 0.6, 0.1]], [["a"] * 4], [[0, 0, 0.1, 0.1]] * 65, {"a": 1}]
)
def test_boxes_that_are_none_are_refused(over, post, boxes):
    assert post("/events/event-0/judge", verdict="right", boxes=boxes).status_code == 400
    assert over.desk.judgements.latest(["event-0"]) == {}


@pytest.mark.parametrize(
    "body", [{}, {"verdict": "maybe"}, {"verdict": 7}, {"verdict": "right", "note": "\x07"}, {"verdict": ["right"]}]
)
def test_what_is_no_judgement_is_refused_and_nothing_is_kept(over, post, body):
    assert post("/events/event-0/judge", **body).status_code == 400
    assert over.desk.judgements.latest(["event-0"]) == {}


def test_a_test_alarm_and_an_event_that_is_not_there_cannot_be_judged(post):
    assert post("/events/event-2/judge", verdict="right").status_code == 400
    assert post("/events/event-9/judge", verdict="right").status_code == 404
    assert post("/events/event-9/acknowledge").status_code == 404


def test_an_undo_takes_back_the_last_judgement_until_there_is_none(over, post):
    post("/events/event-0/judge", verdict="right")
    post("/events/event-0/judge", verdict="wrong")
    assert post("/judgements/undo").json()["event"] == "event-0"
    assert over.desk.judgements.latest(["event-0"])["event-0"].verdict is Verdict.RIGHT
    post("/judgements/undo")
    assert "event" not in post("/judgements/undo").json()
    assert over.desk.judgements.latest(["event-0"]) == {}
    assert audited(over)[:2] == [("anna", "took a judgement back", "event-0")] * 2


def test_an_undo_takes_back_what_its_message_was_about_and_not_what_came_after_it_in_another_window(over, post):
    first, _ = post("/events/event-0/judge", verdict="right").json(), post("/events/event-1/judge", verdict="wrong")
    assert post(first["undo"]).json()["event"] == "event-0"
    assert "event" not in post(first["undo"]).json()  # once
    assert list(over.desk.judgements.latest(["event-0", "event-1"])) == ["event-1"]
    maintained = post("/cameras/yard/maintenance", hours=1).json()
    post("/cameras/north/maintenance", hours=1)
    post(maintained["undo"])
    assert list(over.desk.attention.current().maintenance) == ["north"]
    for nothing in ("x", "-1", "9" * 40, ""):
        assert post(f"/attention/undo?id={nothing}").status_code == 200
    assert list(over.desk.attention.current().maintenance) == ["north"]


def test_an_acknowledgement_is_shown_and_can_be_taken_back(over, post):
    post("/events/event-0/acknowledge")
    assert over.desk.attention.acknowledged(["event-0"])["event-0"].by == "anna"
    assert post("/attention/undo").json()["event"] == "event-0"
    assert over.desk.attention.acknowledged(["event-0"]) == {}


def test_a_snooze_and_a_maintenance_hold_for_their_hours_and_can_be_ended(over, post):
    assert post("/cameras/yard/snooze", label="rust", hours="2").status_code == 200
    assert post("/cameras/yard/maintenance", hours=4).status_code == 200
    current = over.desk.attention.current()
    snooze, maintenance = current.snoozed("yard", "rust"), current.maintenance["yard"]
    assert snooze.until - time.time() == pytest.approx(2 * 3600, abs=60)
    assert maintenance.until - time.time() == pytest.approx(4 * 3600, abs=60)
    assert post(f"/attention/{snooze.entry}/end").status_code == 200
    assert over.desk.attention.current().snoozed("yard", "rust") is None
    post("/attention/undo")  # of the end
    assert over.desk.attention.current().snoozed("yard", "rust") is not None
    assert {what.partition(" ")[0] for _, what, _ in audited(over)} >= {"snoozed", "maintenance", "ended", "took"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/cameras/yard/snooze", {"hours": 100}),  # more than a day
        ("/cameras/yard/snooze", {"hours": 1, "label": "lion"}),
        ("/cameras/lion/snooze", {"hours": 1}),
        ("/cameras/lion/maintenance", {"hours": 1}),
        ("/cameras/yard/maintenance", {"hours": "nan"}),
        ("/cameras/yard/maintenance", {"hours": -1}),
        ("/cameras/yard/maintenance", {}),
        ("/attention/999/end", {}),
    ],
)
def test_what_cannot_hold_is_refused(over, post, path, body):
    assert post(path, **body).status_code == 400
    assert over.desk.attention.current().maintenance == {}


def test_an_entry_whose_number_is_none_is_not_there(post):
    assert post("/attention/x/end").status_code == 404
    assert post(f"/attention/{'9' * 40}/end").status_code == 404


def test_a_plain_form_is_taken_too(over):
    client, token = over.client("anna")
    assert client.post("/cameras/yard/maintenance", data={"csrf": token, "hours": "1"}).status_code == 200
    assert "yard" in over.desk.attention.current().maintenance
