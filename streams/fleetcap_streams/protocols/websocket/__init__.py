"""WebSocket, behind HTTP's upgrade or joined in the middle.

frames    headers, masks, and whether bytes look like a run of frames
inflate   permessage-deflate, with the context of one direction
message   a message while its frames arrive
side      one direction: frames to messages, and finding frames again after a loss
parser    the entrance, the probe, the snapshot
"""

from fleetcap_streams.protocols.websocket.parser import SPEC

__all__ = ["SPEC"]
