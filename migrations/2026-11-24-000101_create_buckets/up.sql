CREATE TABLE buckets (
  id BINARY(16) NOT NULL PRIMARY KEY,
  account_id BINARY(16) NOT NULL,
  name VARCHAR(256) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  -- The name while it is taken, NULL once the bucket is gone: whoever took it first has it, in the whole portal
  taken_name VARCHAR(256) CHARACTER SET ascii COLLATE ascii_bin NULL,
  -- creating: the store has not said yes yet; active; refused: the store has one of this name that is not ours; lost: the
  -- store has none any more
  status VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  -- What is under way on top of it: deleting
  transition VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NULL,
  -- Why something does not go on: a name of ours, and the store's own words
  reason VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL,
  reason_text VARCHAR(1000) NULL,
  -- Where other tools find it
  address VARCHAR(1024) NULL,
  -- What is in it: counted with each change through us, and measured by the sync
  bytes BIGINT UNSIGNED NOT NULL DEFAULT 0,
  objects BIGINT UNSIGNED NOT NULL DEFAULT 0,
  -- How far a deletion is: of so many objects that there were
  removed BIGINT UNSIGNED NOT NULL DEFAULT 0,
  to_remove BIGINT UNSIGNED NOT NULL DEFAULT 0,
  -- Last change through us, and last measurement of the container itself
  changed_at DATETIME(6) NULL,
  measured_at DATETIME(6) NULL,
  -- The form's key: a double click makes one
  launch_key VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  -- Raised by every write
  version INT UNSIGNED NOT NULL DEFAULT 0,
  created_at DATETIME(6) NOT NULL,
  updated_at DATETIME(6) NOT NULL,
  deleted_at DATETIME(6) NULL,
  UNIQUE KEY buckets_taken_name (taken_name),
  UNIQUE KEY buckets_launch_key (account_id, launch_key),
  KEY buckets_list (account_id, deleted_at, id),
  KEY buckets_changed (deleted_at, changed_at),
  CONSTRAINT buckets_account FOREIGN KEY (account_id) REFERENCES accounts (id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
