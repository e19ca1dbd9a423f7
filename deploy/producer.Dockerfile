# The node producer. Debian's own Python, because the bcc bindings belong to it.
# Build from the repository's folder: docker build -f deploy/producer.Dockerfile .
FROM debian:bookworm-slim AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY requirements.lock pyproject.toml hatch_build.py README.md LICENSE ./
# The build backend comes by its hash too.
RUN python3 -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY bpf bpf
COPY fleetcap fleetcap
COPY producer producer
COPY proto proto
COPY streams streams
# The native module is the worker's.
RUN FLEETCAP_NATIVE=0 /venv/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3-bpfcc python3-venv \
 && rm -rf /var/lib/apt/lists/*
COPY deploy/producer.lock /tmp/producer.lock
# Of the system's Python packages, bcc alone is let in.
RUN --mount=from=build,source=/wheels,target=/wheels \
    python3 -m venv /opt/fleetcap \
 && /opt/fleetcap/bin/pip install --no-cache-dir --require-hashes -r /tmp/producer.lock \
 && /opt/fleetcap/bin/pip install --no-cache-dir --no-deps /wheels/*.whl \
 && ln -s /usr/lib/python3/dist-packages/bcc /opt/fleetcap/lib/python3.11/site-packages/bcc \
 && rm /tmp/producer.lock
ENV PATH=/opt/fleetcap/bin:$PATH PYTHONUNBUFFERED=1
STOPSIGNAL SIGTERM
ENTRYPOINT ["fleetcap"]
CMD ["capture"]
