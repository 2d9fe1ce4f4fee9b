CREATE TABLE application_events (
  id BINARY(16) NOT NULL PRIMARY KEY,
  application_id BINARY(16) NOT NULL,
  -- A name of ours: requested, running, redeploy_requested …
  kind VARCHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  detail VARCHAR(1000) NULL,
  created_at DATETIME(6) NOT NULL,
  KEY application_events_application (application_id, id),
  CONSTRAINT application_events_application FOREIGN KEY (application_id) REFERENCES applications (id) ON DELETE CASCADE
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
