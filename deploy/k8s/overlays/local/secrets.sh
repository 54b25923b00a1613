#!/bin/sh
# Writes the secrets of the local overlay: passwords made up here, keys from the environment
# (or from .env of the repository). Run it again only on a cluster that has not started yet:
# PostgreSQL keeps the password of its first start.
set -eu
cd "$(dirname "$0")"
env_file=../../../../.env
if [ -f "$env_file" ]; then set -a; . "$env_file"; set +a; fi
for name in TWILIO_ACCOUNT_SID TWILIO_AUTH_TOKEN OPENAI_API_KEY; do
  eval "value=\${$name:-}"
  if [ -z "$value" ]; then echo "$name is not set: export it, or put it into .env" >&2; exit 1; fi
done
umask 077
made() { head -c 24 /dev/urandom | base64 | tr -d '+/=\n'; }
printf 'TWILIO_ACCOUNT_SID=%s\nTWILIO_AUTH_TOKEN=%s\nTWILIO_PHONE_NUMBER=%s\n' \
  "$TWILIO_ACCOUNT_SID" "$TWILIO_AUTH_TOKEN" "${TWILIO_PHONE_NUMBER:-}" > twilio.env
printf 'OPENAI_API_KEY=%s\n' "$OPENAI_API_KEY" > openai.env
printf 'STREAM_TOKEN_SECRET=%s\n' "$(made)" > stream-token.env
password=$(made)
printf 'password=%s\n' "$password" > postgres.env
printf 'DATABASE_URL=postgresql://trunkline:%s@postgres:5432/trunkline\n' "$password" > database.env
: > nats.env
: > nats-server.env
for user in webhooks stream-ingress ai-agent tool-runner dashboard tools subscriber; do
  password=$(made)
  printf '%s=%s\n' "$user" "$password" >> nats.env
  printf 'NATS_%s_PASSWORD=%s\n' "$(echo "$user" | tr 'a-z-' 'A-Z_')" "$password" >> nats-server.env
done
echo "secrets written to $(pwd)/*.env"
