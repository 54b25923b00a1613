# The path router: one public host for webhooks and stream-ingress, and the number's fallback document.
ARG DEBIAN_IMAGE=debian:bookworm-slim

FROM ${DEBIAN_IMAGE}
LABEL org.opencontainers.image.title="trunkline/router" org.opencontainers.image.licenses="MIT"
RUN apt-get update -q && apt-get install -y -q --no-install-recommends nginx-light \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* /usr/share/doc /usr/share/man /var/www/html
COPY deploy/images/router.conf /etc/trunkline/router.conf
COPY deploy/images/fallback.xml /srv/twilio/fallback.xml
COPY deploy/images/router.sh /usr/local/bin/router
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
# Open sockets are finished before it ends, within worker_shutdown_timeout.
STOPSIGNAL SIGQUIT
ENTRYPOINT ["/bin/sh", "/usr/local/bin/router"]
