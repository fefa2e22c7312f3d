# framedaemon in a container: docs/docker.md says how to build and run it.
#
#     docker build -t framedaemon --build-arg PIP_EXTRA_INDEX_URL=...                         for CPUs
#     docker build -t framedaemon:cuda --build-arg BASE=nvidia/cuda:12.8.1-base-ubuntu24.04 \
#         --build-arg EXTRAS=rife,film,wan .                                                  for NVIDIA's GPUs
ARG BASE=debian:bookworm-slim

# Debian 12 and Ubuntu 24.04 bring Python 3.11 and 3.12. Versions of packages are the distribution's to choose.
# hadolint ignore=DL3006
FROM ${BASE} AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
ARG EXTRAS=rife
# Where PyTorch's builds for CPUs lie, which are a tenth of those for GPUs: pytorch.org names the place.
ARG PIP_EXTRA_INDEX_URL=
WORKDIR /src
COPY . .
RUN python3 -m venv /opt/framedaemon \
    && /opt/framedaemon/bin/pip install --no-cache-dir --constraint constraints.txt ".[${EXTRAS}]"

# hadolint ignore=DL3006
FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /srv/cache framedaemon \
    && install --directory --owner=framedaemon --group=framedaemon /srv/frames /srv/cache
COPY --from=build /opt/framedaemon /opt/framedaemon
ENV PATH=/opt/framedaemon/bin:$PATH \
    HOME=/srv/cache \
    XDG_CACHE_HOME=/srv/cache \
    FRAMEDAEMON_INSTANCE=/srv/frames \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
USER 10001
WORKDIR /srv/frames
# The instance, and the weights of networks.
VOLUME ["/srv/frames", "/srv/cache"]
# The daemon holds a lock for as long as it lives, and status asks for it.
HEALTHCHECK --interval=60s --timeout=20s --start-period=120s \
    CMD ["sh", "-c", "framedaemon status --json | grep --quiet '\"daemon\": {'"]
# tini passes SIGTERM to the daemon alone, which ends the job at hand or leaves a checkpoint, and reaps what is orphaned.
ENTRYPOINT ["tini", "--", "framedaemon"]
CMD ["run"]
