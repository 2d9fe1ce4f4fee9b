CREATE TABLE instances (
  id BINARY(16) NOT NULL PRIMARY KEY,
  account_id BINARY(16) NOT NULL,
  name VARCHAR(64) NOT NULL,
  template_id BINARY(16) NULL,
  template_name VARCHAR(64) NOT NULL,
  -- What was ordered, as JSON: later changes of the template don't reach machines that exist.
  spec TEXT NOT NULL,
  vcpus INT UNSIGNED NOT NULL,
  ram_mb INT UNSIGNED NOT NULL,
  disk_gb INT UNSIGNED NOT NULL,
  nova_id BINARY(16) NULL,
  -- What the cloud said last: building, active, stopped, error, unknown
  status VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  -- What is under way on top of it: starting, stopping, rebooting, deleting
  transition VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  -- Whether the cloud has taken the request behind it: from then on its word counts
  transition_accepted BOOLEAN NOT NULL DEFAULT FALSE,
  -- Why it is broken or waits: a name of ours, and the cloud's own words
  reason VARCHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  reason_text VARCHAR(1000) NULL,
  ip_address VARCHAR(45) NULL,
  floating_ip VARCHAR(45) NULL,
  -- The form's key: a double click rents one
  launch_key VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  -- Raised by every write: what was read before an answer of the cloud is not written over what came after
  version INT UNSIGNED NOT NULL DEFAULT 0,
  created_at DATETIME(6) NOT NULL,
  updated_at DATETIME(6) NOT NULL,
  -- Set when it is gone from the cloud: the row stays as its history.
  deleted_at DATETIME(6) NULL,
  UNIQUE KEY instances_launch_key (account_id, launch_key),
  UNIQUE KEY instances_nova_id (nova_id),
  KEY instances_list (account_id, deleted_at, id),
  KEY instances_unsettled (deleted_at, transition, status),
  CONSTRAINT instances_account FOREIGN KEY (account_id) REFERENCES accounts (id),
  CONSTRAINT instances_template FOREIGN KEY (template_id) REFERENCES instance_templates (id) ON DELETE SET NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
