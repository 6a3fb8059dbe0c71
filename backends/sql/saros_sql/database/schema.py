"""The tables of this version, and the migrations from older versions.

The types are SQLite's; another dialect replaces some of them.
"""

from __future__ import annotations

from typing import Final

VERSION: Final = 1
"""The version of the schema. A change of a table increments it and adds a step to `MIGRATIONS`."""

TABLES: Final = """
CREATE TABLE clock (
  one INTEGER PRIMARY KEY,
  boot TEXT NOT NULL,
  ahead INTEGER NOT NULL,
  steady INTEGER NOT NULL,
  wall INTEGER NOT NULL
);
CREATE TABLE runs (
  run SERIAL,
  id TEXT NOT NULL,
  run_id TEXT NOT NULL UNIQUE,
  pid TEXT NOT NULL,
  type TEXT NOT NULL,
  task_queue TEXT NOT NULL,
  status TEXT NOT NULL,
  start_time INTEGER NOT NULL,
  close_time INTEGER,
  began INTEGER NOT NULL,
  closed INTEGER,
  request_id TEXT NOT NULL,
  next_run_id TEXT NOT NULL DEFAULT '',
  length INTEGER NOT NULL DEFAULT 0,
  size INTEGER NOT NULL DEFAULT 0,
  held INTEGER NOT NULL DEFAULT 0,
  ready INTEGER,
  fence TEXT,
  owner TEXT,
  failures INTEGER NOT NULL DEFAULT 0,
  hangs INTEGER NOT NULL DEFAULT 0,
  losses INTEGER NOT NULL DEFAULT 0,
  problem TEXT,
  since INTEGER,
  parked_since INTEGER,
  next_try INTEGER,
  facts BLOB NOT NULL,
  search BLOB,
  memo BLOB
);
CREATE INDEX runs_id ON runs (id, run);
CREATE INDEX runs_pid ON runs (pid);
CREATE INDEX runs_status ON runs (status, run);
CREATE INDEX runs_type ON runs (type, run);
CREATE INDEX runs_start_time ON runs (start_time);
CREATE INDEX runs_close_time ON runs (close_time) WHERE close_time IS NOT NULL;
CREATE INDEX runs_closed ON runs (closed) WHERE closed IS NOT NULL;
CREATE INDEX runs_ready ON runs (task_queue, ready, run) WHERE ready IS NOT NULL;
CREATE INDEX runs_owner ON runs (owner) WHERE owner IS NOT NULL;
CREATE INDEX runs_problem ON runs (run) WHERE problem IS NOT NULL;
CREATE TABLE records (
  run INTEGER NOT NULL,
  number INTEGER NOT NULL,
  op TEXT NOT NULL,
  ref INTEGER NOT NULL,
  time INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (run, number)
) WITHOUT ROWID;
CREATE TABLE inbox (
  seq SERIAL,
  run INTEGER NOT NULL,
  run_id TEXT NOT NULL,
  op TEXT NOT NULL,
  ref INTEGER NOT NULL,
  body BLOB NOT NULL
);
CREATE INDEX inbox_run ON inbox (run, seq);
CREATE TABLE mail_keys (
  id TEXT NOT NULL,
  mail_key TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (id, mail_key)
) WITHOUT ROWID;
CREATE INDEX mail_keys_at ON mail_keys (at);
CREATE TABLE requests (
  run INTEGER NOT NULL,
  request_id TEXT NOT NULL,
  PRIMARY KEY (run, request_id)
) WITHOUT ROWID;
CREATE TABLE withdrawn (
  id TEXT NOT NULL,
  request_id TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (id, request_id)
) WITHOUT ROWID;
CREATE TABLE attributes (
  run INTEGER NOT NULL,
  name TEXT NOT NULL,
  text TEXT,
  number REAL,
  time INTEGER
);
CREATE INDEX attributes_run ON attributes (run, name);
CREATE INDEX attributes_text ON attributes (name, text, run);
CREATE INDEX attributes_number ON attributes (name, number, run) WHERE number IS NOT NULL;
CREATE INDEX attributes_time ON attributes (name, time, run) WHERE time IS NOT NULL;
CREATE TABLE watchers (
  seq SERIAL,
  run INTEGER NOT NULL,
  pid TEXT NOT NULL,
  ref INTEGER NOT NULL,
  watcher BLOB NOT NULL
);
CREATE INDEX watchers_run ON watchers (run, seq);
CREATE TABLE children (
  run INTEGER NOT NULL,
  ref INTEGER NOT NULL,
  id TEXT NOT NULL,
  policy TEXT NOT NULL,
  PRIMARY KEY (run, ref)
) WITHOUT ROWID;
CREATE TABLE activities (
  seq SERIAL,
  run INTEGER NOT NULL,
  ref INTEGER NOT NULL,
  task_queue TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  ready INTEGER,
  token TEXT,
  owner TEXT,
  canceled INTEGER NOT NULL DEFAULT 0,
  aside INTEGER NOT NULL DEFAULT 0,
  losses INTEGER NOT NULL DEFAULT 0,
  closes INTEGER,
  started INTEGER,
  next_attempt INTEGER,
  beaten INTEGER,
  failure BLOB,
  task BLOB NOT NULL,
  heartbeat BLOB
);
CREATE UNIQUE INDEX activities_run ON activities (run, ref);
CREATE INDEX activities_ready ON activities (task_queue, ready, seq) WHERE ready IS NOT NULL;
CREATE INDEX activities_owner ON activities (owner) WHERE owner IS NOT NULL;
CREATE INDEX activities_token ON activities (token) WHERE token IS NOT NULL;
CREATE INDEX activities_attempt ON activities (run) WHERE attempt > 1;
CREATE TABLE deadlines (
  seq SERIAL,
  due INTEGER NOT NULL,
  run INTEGER NOT NULL,
  ref INTEGER NOT NULL,
  guard TEXT NOT NULL,
  mail_run_id TEXT NOT NULL,
  op TEXT NOT NULL,
  mail_ref INTEGER NOT NULL,
  body BLOB NOT NULL
);
CREATE INDEX deadlines_due ON deadlines (due, seq);
CREATE INDEX deadlines_run ON deadlines (run, ref);
CREATE TABLE outbox (
  seq SERIAL,
  id TEXT NOT NULL,
  run_id TEXT NOT NULL,
  pid TEXT NOT NULL,
  ref INTEGER NOT NULL,
  op TEXT NOT NULL,
  body BLOB NOT NULL,
  mail_key TEXT NOT NULL,
  watcher BLOB,
  lane TEXT NOT NULL,
  waits INTEGER NOT NULL,
  owner TEXT
);
CREATE INDEX outbox_key ON outbox (mail_key, op);
CREATE INDEX outbox_lane ON outbox (lane, seq) WHERE lane <> '';
CREATE INDEX outbox_free ON outbox (seq) WHERE owner IS NULL AND waits = 0;
CREATE INDEX outbox_owner ON outbox (owner) WHERE owner IS NOT NULL;
CREATE TABLE names (
  name TEXT PRIMARY KEY,
  pid TEXT NOT NULL,
  owner TEXT
) WITHOUT ROWID;
CREATE INDEX names_pid ON names (pid);
CREATE TABLE sessions (
  owner TEXT PRIMARY KEY,
  until INTEGER NOT NULL,
  boot TEXT NOT NULL,
  worker TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE commits (
  owner TEXT PRIMARY KEY,
  number INTEGER NOT NULL,
  at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE nodes (
  node TEXT PRIMARY KEY,
  owner TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE node_mail (
  seq SERIAL,
  node TEXT NOT NULL,
  mail BLOB NOT NULL
);
CREATE INDEX node_mail_node ON node_mail (node, seq);
CREATE TABLE node_watches (
  node TEXT NOT NULL,
  pid TEXT NOT NULL,
  watcher BLOB NOT NULL,
  PRIMARY KEY (node, pid, watcher)
) WITHOUT ROWID;
CREATE TABLE workers (
  id TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  until INTEGER NOT NULL,
  heard INTEGER NOT NULL,
  told BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE paused (
  schedule TEXT PRIMARY KEY,
  told BLOB NOT NULL
) WITHOUT ROWID;
"""

MIGRATIONS: Final[dict[int, str]] = {}
"""The statements that migrate each version to the next."""


def statements(text: str) -> list[str]:
    return [part.strip() for part in text.split(";\n") if part.strip()]
