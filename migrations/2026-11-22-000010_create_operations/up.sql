CREATE TABLE operations (
  id BINARY(16) NOT NULL PRIMARY KEY,
  account_id BINARY(16) NOT NULL,
  resource_kind VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  resource_id BINARY(16) NOT NULL,
  action VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  -- queued, running, done, failed, cancelled
  state VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  -- How often it was taken; more than once means that an earlier try may have reached the cloud
  attempts INT UNSIGNED NOT NULL,
  run_after DATETIME(6) NOT NULL,
  leased_by VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  leased_until DATETIME(6) NULL,
  error VARCHAR(1000) NULL,
  created_at DATETIME(6) NOT NULL,
  updated_at DATETIME(6) NOT NULL,
  KEY operations_due (state, run_after),
  KEY operations_resource (resource_id, state),
  CONSTRAINT operations_account FOREIGN KEY (account_id) REFERENCES accounts (id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
