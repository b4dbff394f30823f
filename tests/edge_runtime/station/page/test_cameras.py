"""The page of cameras: how each does, what holds of it, and who said so."""

import time


def test_each_camera_is_told_with_its_picture_and_what_holds(over):
    soon = time.time() + 3600
    over.desk.attention.maintenance("yard", soon, "anna")
    over.desk.attention.snooze("north", "", soon, "anna")
    page = over.client("anna")[0].get("/cameras").text
    for words in ("yard", "north", "64 × 48", "Maintenance until", "all labels: snoozed until", "service not running"):
        assert words in page, words
    assert "began maintenance" in page


def test_a_viewer_is_shown_no_forms(over):
    assert "<form data-post" not in over.client("wall")[0].get("/cameras").text
    assert "<form" in over.client("anna")[0].get("/cameras").text
