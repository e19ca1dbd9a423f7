# The worker, and every command that needs no eBPF: topics, tail, decode, import, …
# Build from the repository's folder: docker build -f deploy/worker.Dockerfile .
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
# For the native module; without it the worker does the same, slower.
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
COPY requirements.lock pyproject.toml hatch_build.py README.md LICENSE ./
# The build backend comes by its hash too.
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY bpf bpf
COPY fleetcap fleetcap
COPY producer producer
COPY proto proto
COPY streams streams
RUN FLEETCAP_NATIVE=1 pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

FROM python:3.11-slim-bookworm
COPY deploy/worker.lock /tmp/worker.lock
RUN --mount=from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --require-hashes -r /tmp/worker.lock \
 && pip install --no-cache-dir --no-deps /wheels/*.whl \
 && rm /tmp/worker.lock \
 && useradd --system --no-create-home --shell /usr/sbin/nologin fleetcap
USER fleetcap
ENV PYTHONUNBUFFERED=1
STOPSIGNAL SIGTERM
ENTRYPOINT ["fleetcap"]
CMD ["worker"]
