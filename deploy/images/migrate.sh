#!/bin/sh
# Applies the migrations of every service to DATABASE_URL, each under its own bookkeeping table. Several at a time wait
# for each other.
set -eu
: "${DATABASE_URL:?is not set: give the database to create the tables in}"

# As asyncpg does where sslmode is not given: TLS if the server has it.
plain=
case $DATABASE_URL in
  *sslmode=*) ;;
  *\?*) plain="$DATABASE_URL&sslmode=disable" DATABASE_URL="$DATABASE_URL&sslmode=require" ;;
  *) plain="$DATABASE_URL?sslmode=disable" DATABASE_URL="$DATABASE_URL?sslmode=require" ;;
esac
export DATABASE_URL

tries=0
until said=$(dbmate --wait-timeout 1s wait 2>&1); do
  case $plain,$said in
    ,*) ;;
    *"SSL is not enabled"*) DATABASE_URL=$plain plain= && continue ;;
  esac
  tries=$((tries + 1))
  if [ "$tries" -ge "${STARTUP_WAIT_S:-60}" ]; then
    echo "no database: $(echo "$said" | tail -n 1)" >&2
    exit 1
  fi
done

for folder in /migrations/*/; do
  service=$(basename "$folder")
  table=$(echo "$service" | tr -- - _)_migrations
  dbmate --migration-lock --no-dump-schema --migrations-dir "$folder" --migrations-table "$table" up
  echo "$service: up to date"
done
