#!/bin/sh
# Every service's doctor, each in its own container and with its own rights. Exit code 0: nothing is wrong.
#   COMPOSE   the command (docker compose); options of yours belong here: COMPOSE="docker compose -p other"
set -u
wrong=0
for service in webhooks stream-ingress ai-agent tool-runner dashboard; do
  module=$(echo "$service" | tr -- - _)
  # shellcheck disable=SC2086 -- words are meant
  ${COMPOSE:-docker compose} exec -T "$service" python -m "$module.doctor" "$@" || wrong=1
done
exit $wrong
