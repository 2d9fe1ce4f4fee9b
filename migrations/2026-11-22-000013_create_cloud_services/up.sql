CREATE TABLE cloud_services (
  -- compute
  name VARCHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
  last_ok_at DATETIME(6) NULL,
  -- NULL while it answers
  failing_since DATETIME(6) NULL,
  error VARCHAR(1000) NULL,
  duration_ms INT UNSIGNED NOT NULL,
  seen INT UNSIGNED NOT NULL,
  -- What it offers, as JSON, and when it was asked
  catalogue MEDIUMTEXT NULL,
  catalogue_at DATETIME(6) NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
