"""The recording that is shipped, and the log of the clients whose traffic it holds.

It is a real capture of the demo's own traffic, made by `python -m fleetcap.demo --record FOLDER`.
"""

from pathlib import Path
from typing import Final

from fleetcap.demo import truth
from fleetcap.demo.errors import DemoError
from fleetcap.recording import Recorded, RecordingWriter, read_recording
from fleetcap_proto.v1 import raw_pb2

HERE: Final = Path(__file__).parent
CAPTURE: Final = HERE / "recording.fcap"
LOG: Final = HERE / "recording.jsonl"


def made() -> list[truth.Exchange]:
    """What the clients logged while it was recorded.

    Raises:
        DemoError: the recording is not there.
    """
    if not (CAPTURE.exists() and LOG.exists()):
        raise DemoError(f"the recording {CAPTURE} is not there; get it with the rest of the repository")
    return truth.parse(LOG.read_text().splitlines())


def keep(recording: Path, exchanges: list[truth.Exchange], folder: Path) -> None:
    """Write a recording and its log to `folder`, without the command lines, which hold paths of the machine it was made on.

    Raises:
        RecordingError: it cannot be read, or there is one already.
    """
    with RecordingWriter(folder / CAPTURE.name) as writer:
        for partition, record in read_recording(recording):
            writer.write(*_without_command_line(Recorded(partition, record)))
    (folder / LOG.name).write_text(truth.dump(exchanges))


def _without_command_line(recorded: Recorded) -> Recorded:
    batch = raw_pb2.RawBatch.FromString(recorded.record.value or b"")
    if batch.connection.process.command_line:
        batch.connection.process.ClearField("command_line")
    return recorded._replace(record=recorded.record._replace(value=batch.SerializeToString()))
