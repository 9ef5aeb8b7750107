FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/connector
ENV PATH=/opt/connector/bin:$PATH
WORKDIR /src
# The lock first: it changes less often than the code, so its layer is used again.
COPY requirements.lock .
RUN pip install --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md ./
COPY connections connections
COPY messaging messaging
COPY api_shim api_shim
COPY worker worker
COPY cli cli
RUN pip install --no-deps --no-build-isolation .

FROM python:3.13-slim
RUN useradd --uid 10001 --create-home connector \
    && install -d -o connector -m 0700 /keys/worker /keys/shim
COPY --from=build /opt/connector /opt/connector
ENV PATH=/opt/connector/bin:$PATH PYTHONUNBUFFERED=1 CONNECTOR_ENV=production
USER connector
WORKDIR /home/connector
EXPOSE 8000
# On SIGTERM a worker finishes what it has begun; give it more than CONNECTOR_GRACE_SECONDS + 15: docker stop --time 40.
STOPSIGNAL SIGTERM
ENTRYPOINT ["connector"]
CMD ["api", "--host", "0.0.0.0"]
