#!/bin/sh
# Prints passwords made up for docker-compose.yml:  deploy/compose/passwords.sh >> .env
# Once, before the first start: PostgreSQL keeps the password that it was started with first.
set -eu
made() { head -c 32 /dev/urandom | base64 | tr -d '+/=\n' | cut -c1-32; }
echo "STREAM_TOKEN_SECRET=$(made)"
echo "POSTGRES_PASSWORD=$(made)"
for user in WEBHOOKS STREAM_INGRESS AI_AGENT TOOL_RUNNER DASHBOARD TOOLS SUBSCRIBER; do
  echo "NATS_${user}_PASSWORD=$(made)"
done
