# A tool service of examples/ as a container: one Python file, the NATS client, time zones. For tools of your own it is a
# pattern; nothing of Trunkline is in it.
#   docker build -f deploy/images/tool.Dockerfile --build-arg TOOL=opening_hours -t trunkline/tool-opening-hours:0.1.0 .
ARG PYTHON_IMAGE=python:3.12-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
ENV UV_SYSTEM_CERTS=1 UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1 UV_NO_PROGRESS=1 \
    UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=/app
COPY requirements.lock ./
RUN python -m pip install -q --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
      "$(grep -o '^uv==[^ ]*' requirements.lock)" \
 && uv venv -q --python "$(command -v python)" /app \
 && uv pip install -q -c requirements.lock nats-py tzdata
ARG TOOL
COPY examples/${TOOL}/${TOOL}.py /app/tool.py

FROM ${PYTHON_IMAGE}
ARG TOOL
LABEL org.opencontainers.image.title="trunkline/tool/${TOOL}" org.opencontainers.image.licenses="MIT"
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
USER 10001:10001
WORKDIR /tmp
# Finds its server in NATS_URL. The process is PID 1 and gets the signals itself.
ENTRYPOINT ["/app/bin/python", "/app/tool.py"]
