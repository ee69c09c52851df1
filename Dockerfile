# One node.  Build without an index by putting wheels into wheelhouse/:
#
#   python3 -m pip wheel . hatchling --wheel-dir wheelhouse
#   docker build --build-arg PIP_NO_INDEX=1 --tag kvnode .
#
# BASE_IMAGE may be any image with Python 3.11 or later as python3, its venv
# module, and useradd.
ARG BASE_IMAGE=python:3.12-slim-bookworm

FROM ${BASE_IMAGE} AS build
# pip reads both from the environment; an empty one counts as not set.
ARG PIP_NO_INDEX=
ARG PIP_FIND_LINKS=/wheelhouse
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
# The README is there only because COPY needs one source that certainly exists.
COPY README.md wheelhouse* /wheelhouse/
COPY pyproject.toml ./
# Dependencies first: they change seldom, so their layer is mostly reused.
RUN python3 -m venv /opt/kvnode \
    && python3 -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > requirements.txt \
    && /opt/kvnode/bin/pip install --requirement requirements.txt
COPY README.md LICENSE ./
COPY kvnode kvnode
COPY cluster cluster
RUN /opt/kvnode/bin/pip install --no-deps . \
    && /opt/kvnode/bin/pip uninstall --yes --quiet pip setuptools

FROM ${BASE_IMAGE}
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin kvnode \
    && install --directory --owner kvnode --group kvnode /data
COPY --from=build /opt/kvnode /opt/kvnode
ENV PATH=/opt/kvnode/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    KVNODE_DATA_DIRECTORY=/data \
    KVNODE_LISTEN=0.0.0.0:7400
USER 10001:10001
VOLUME /data
EXPOSE 7400 7480
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import asyncio, cluster.local.readiness as r; raise SystemExit(not asyncio.run(r.is_serving('127.0.0.1:7400')))"]
ENTRYPOINT ["kvnode"]
CMD ["serve"]
