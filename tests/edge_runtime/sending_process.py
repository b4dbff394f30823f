"""A process to be killed: commits events of two cameras and sends them to the broker at a port.

`python sending_process.py STATE_DIR PORT COUNT`: COUNT events, then stay until the outbox is empty. Each id is printed
after its commit. Numbers go on where the outbox ends, so the next process continues the sequence.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from make_events import record

from edge_runtime.events import ALARM
from edge_runtime.mqtt_sink import MqttSink
from edge_runtime.outbox import Outbox
from edge_runtime.recorder import Recorder
from edge_runtime.sender import Backoff, Sender
from edge_runtime.station_settings import MqttSection


def main(state_dir: Path, port: int, count: int) -> None:
    outbox = Outbox(state_dir, ["mqtt"])
    outbox.sweep()
    sink = MqttSink("north-7", MqttSection("127.0.0.1", port, tls=False, timeout=5.0))
    quick = Backoff(first=0.05, cap=0.2)
    sender = Sender(outbox, sink, quick, quick)
    recorder = Recorder(outbox, on_commit=sender.wake)
    sender.start()
    newest = outbox.recent(ALARM, 1)
    begin = newest[0].document["number"] + 1 if newest else 0
    for number in range(begin, begin + count):
        made = record(number, camera=f"camera-{number % 2}", size=2000)
        assert recorder.record(made)
        sys.stdout.write(made.id + "\n")
        sys.stdout.flush()
    while outbox.pending("mqtt"):
        time.sleep(0.01)
    sender.cease()
    sender.join(5)
    outbox.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
