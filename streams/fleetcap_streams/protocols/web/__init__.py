"""What is spoken inside the bodies of HTTP messages, the same for every version of HTTP.

watch.py         what follows a body while it arrives, and which content types have one
sse.py           Server-Sent Events
"""
