# One image a service:  docker build --build-arg SERVICE=webhooks -t trunkline/webhooks:0.1.0 .
# `make images` builds all. Kept to what the classic builder understands too. docs/docker.md
ARG PYTHON_IMAGE=python:3.12-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
ENV UV_SYSTEM_CERTS=1 UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1 UV_NO_PROGRESS=1 \
    UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=/app
COPY requirements.lock ./
RUN python -m pip install -q --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
      "$(grep -o '^uv==[^ ]*' requirements.lock)" \
 && uv venv -q --python "$(command -v python)" /app

# What the service needs of others, pinned and with hashes, as a layer that code does not change: the members' code is
# empty modules here.
ARG SERVICE
# Optional dependencies, separated by commas. ai-agent has `espeak`, a voice that needs no network: libespeak-ng is
# GPL-3.0, so it is in no image that does not ask for it.
ARG EXTRAS=
# The same of libs/runtime: `otel`, for traces (docs/metrics.md).
ARG RUNTIME_EXTRAS=
COPY libs/protocol/pyproject.toml libs/protocol/
COPY libs/runtime/pyproject.toml libs/runtime/
COPY services/${SERVICE}/pyproject.toml services/${SERVICE}/
RUN for member in libs/protocol libs/runtime "services/${SERVICE}"; do \
      module="$member/src/$(basename "$member" | tr - _)"; \
      mkdir -p "$module" && touch "$module/__init__.py" || exit 1; \
    done \
 && uv pip install -q -c requirements.lock ./libs/protocol \
      "./libs/runtime${RUNTIME_EXTRAS:+[${RUNTIME_EXTRAS}]}" \
      "./services/${SERVICE}${EXTRAS:+[${EXTRAS}]}"

COPY libs/protocol libs/protocol
COPY libs/runtime libs/runtime
COPY services/${SERVICE} services/${SERVICE}
RUN uv pip install -q --no-deps --reinstall ./libs/protocol ./libs/runtime "./services/${SERVICE}" \
 && ln -s "${SERVICE}" /app/bin/service

FROM ${PYTHON_IMAGE}
ARG SERVICE
LABEL org.opencontainers.image.title="trunkline/${SERVICE}" org.opencontainers.image.licenses="MIT"
COPY --from=build /app /app
COPY assistants/*.toml /assistants/
COPY deploy/images/healthcheck.py /app/healthcheck.py
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp \
    ASSISTANTS_DIR=/assistants SERVICE=${SERVICE}
USER 10001:10001
WORKDIR /tmp
# The process is PID 1 and gets the signals itself.
ENTRYPOINT ["/app/bin/service"]
HEALTHCHECK --interval=5s --timeout=3s --start-period=120s --retries=3 \
  CMD ["/app/bin/python", "-I", "-S", "/app/healthcheck.py"]
