"""Schema migrations: SQL in alembic revisions, no ORM. `rtm_server.migrate` runs them."""
