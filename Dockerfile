# docker build --tag connector .                                 with traces: --build-arg EXTRA=traces
#
# Runs as user 10001 on a root that may be read-only: it writes below /tmp alone, and `connector keys` where the ring is.
#   docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges … connector worker

FROM python:3.13-slim-trixie AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
ARG EXTRA=
# The lock first: it changes less often than the code, so its layer is used again.
COPY requirements.lock requirements-traces.lock ./
RUN pip wheel --require-hashes --no-deps --only-binary :all: --requirement "requirements${EXTRA:+-$EXTRA}.lock" \
    --wheel-dir /wheels
COPY pyproject.toml README.md ./
COPY connections connections
COPY messaging messaging
COPY api_shim api_shim
COPY worker worker
COPY cli cli
# Nothing but what passed the lock's hashes. Of that, what builds the package stays behind, and so does pip.
ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels
# The one version there is: the one from here.
# hadolint ignore=DL3013
RUN pip wheel --no-deps --wheel-dir /wheels . \
    && python -m venv --without-pip /opt/connector \
    && pip --python /opt/connector/bin/python install "connector${EXTRA:+[$EXTRA]}"

FROM python:3.13-slim-trixie
RUN groupadd --gid 10001 connector \
    && useradd --uid 10001 --gid connector --no-create-home --home-dir /tmp --shell /usr/sbin/nologin connector \
    && install --directory --owner connector --group connector --mode 0700 /keys/worker /keys/shim
COPY --from=build /opt/connector /opt/connector
# In production nothing is kept in VAR_DIR; outside it, a try-out loses its data with the container.
ENV PATH=/opt/connector/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    CONNECTOR_ENV=production CONNECTOR_VAR_DIR=/tmp/connector
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
# On SIGTERM a worker finishes what it has begun; give it more than CONNECTOR_GRACE_SECONDS + 15: docker stop --time 40.
STOPSIGNAL SIGTERM
# The API's. Workers and beat answer it at CONNECTOR_METRICS_PORT, where that is set: see docker-compose.yml.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8000, timeout=3); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["connector"]
CMD ["api", "--host", "0.0.0.0"]
