-- What the doctor asks of the database.

-- name: newest_migration
SELECT max(version) FROM tool_runner_migrations;
