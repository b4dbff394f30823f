"""A process to be killed: commits events of two cameras and sends them to the broker at a port.

`python -m tests.support.sender_child STATE_DIR PORT COUNT`: COUNT events, then stay until the outbox is empty.
Each id is printed after its commit. Numbers go on where the outbox ends, so the next process continues the sequence.
"""

import sys
import time
from functools import partial
from pathlib import Path

from edge_runtime.alerts.events import ALARM
from edge_runtime.alerts.mqtt_sink import MqttSink
from edge_runtime.alerts.outbox import Outbox
from edge_runtime.alerts.outbox_spool import OutboxSpool
from edge_runtime.alerts.sender import Sender
from edge_runtime.alerts.settings import MqttSection
from edge_runtime.delays import send_delay
from tests.support.sample_events import record


def main(state_dir: Path, port: int, count: int) -> None:
    outbox = Outbox(state_dir, ["mqtt"])
    outbox.sweep()
    sink = MqttSink("north-7", MqttSection("127.0.0.1", port, tls=False, timeout=5.0))
    quick = partial(send_delay, first=0.05, cap=0.2)
    sender = Sender(outbox, sink, quick, quick)
    spool = OutboxSpool(outbox, on_commit=sender.wake)
    sender.start()
    newest = outbox.recent(ALARM, 1)
    begin = newest[0].document["number"] + 1 if newest else 0
    for number in range(begin, begin + count):
        made = record(number, camera=f"camera-{number % 2}", size=2000)
        assert spool.record(made)
        sys.stdout.write(made.id + "\n")
        sys.stdout.flush()
    while outbox.pending("mqtt"):
        time.sleep(0.01)
    sender.begin_stop()
    sender.join(5)
    outbox.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
