-- What the doctor asks of the database.

-- name: newest_migration
SELECT max(version) FROM dashboard_migrations;

-- name: operators
SELECT count(*) FROM operators WHERE disabled_at IS NULL;
