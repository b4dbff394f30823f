"""[feedback] of station.toml: whether, how often and in which portions judgements leave for central."""

from dataclasses import dataclass

from ..settings_reader import number

LEAST_BYTES = 64 << 10


@dataclass(frozen=True)
class FeedbackSection:
    """[feedback]: judgements, hard examples and clean frames as signed archives.

    `bytes` bounds one archive in a file. `send_bytes` bounds one that goes to the sinks: an alarm that is raised while
    it is on its way waits for its end. With `send` the service makes one every `hours`, where there is something.
    """

    send: bool = False
    bytes: int = number(8 << 20, low=LEAST_BYTES)
    send_bytes: int = number(1 << 20, low=LEAST_BYTES)
    hours: float = number(1.0, low=0.1)
