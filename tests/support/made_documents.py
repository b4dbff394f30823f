"""Documents from plain JSON values, for tests that stand in for a stage."""

from collections.abc import Mapping, Sequence
from typing import Any

from augment.json_objects import from_json
from augment.records import Document, R, S, Stage, StageInputs


def made(
    stage: Stage[R, S],
    parent: str | None = None,
    records: Sequence[Mapping[str, Any]] = (),
    summary: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    models: Mapping[str, Any] | None = None,
) -> Document[R, S]:
    """A document of `stage`, whose records and summary may lack what the test does not need."""
    return Document(
        stage,
        StageInputs(parent, settings or {}, models or {}),
        [from_json(stage.record, record) for record in records],
        from_json(stage.summary, summary or {}),
    )
