CREATE TABLE throttles (
  -- What is counted: login:{id}, address:{address}, signup:{address}
  subject VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
  failures INT UNSIGNED NOT NULL,
  window_started_at DATETIME(6) NOT NULL,
  last_at DATETIME(6) NOT NULL,
  KEY throttles_last (last_at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
