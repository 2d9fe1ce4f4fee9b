CREATE TABLE applications (
  id BINARY(16) NOT NULL PRIMARY KEY,
  account_id BINARY(16) NOT NULL,
  name VARCHAR(64) NOT NULL,
  -- The first label of its host name; NULL once it is gone: the name is free again. Whoever took it first has it
  host_label VARCHAR(63) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  namespace VARCHAR(63) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  deployment_name VARCHAR(63) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  service_name VARCHAR(63) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  -- What the cluster said last: pending, running, stopped, failed
  status VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  -- What is under way on top of it: deploying, redeploying, starting, stopping, deleting
  transition VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  -- Whether the cluster has taken the request behind it: from then on its word counts
  transition_accepted BOOLEAN NOT NULL DEFAULT FALSE,
  -- Why it is broken or waits: a name of ours, the cluster's own words, and what was found out, as JSON
  reason VARCHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  reason_text VARCHAR(1000) NULL,
  findings TEXT NULL,
  -- What the person wants: pods, their size, and the row of application_configs in force
  replicas INT UNSIGNED NOT NULL,
  size VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  revision INT UNSIGNED NOT NULL,
  -- What the cluster said of it and its pods, as JSON
  observed MEDIUMTEXT NULL,
  -- Since when it is as the cluster says: a state that only counts when it lasts
  since DATETIME(6) NULL,
  -- The form's key: a double click starts one
  launch_key VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  -- Raised by every write: what was read before an answer of the cluster is not written over what came after
  version INT UNSIGNED NOT NULL DEFAULT 0,
  created_at DATETIME(6) NOT NULL,
  updated_at DATETIME(6) NOT NULL,
  -- Set when it is gone from the cluster: the row stays as its history
  deleted_at DATETIME(6) NULL,
  UNIQUE KEY applications_launch_key (account_id, launch_key),
  UNIQUE KEY applications_host_label (host_label),
  KEY applications_list (account_id, deleted_at, id),
  KEY applications_unsettled (deleted_at, transition, status),
  CONSTRAINT applications_account FOREIGN KEY (account_id) REFERENCES accounts (id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
