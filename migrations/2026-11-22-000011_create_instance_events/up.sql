CREATE TABLE instance_events (
  id BINARY(16) NOT NULL PRIMARY KEY,
  instance_id BINARY(16) NOT NULL,
  -- A name of ours: requested, active, stop_requested, stopped …
  kind VARCHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  detail VARCHAR(1000) NULL,
  created_at DATETIME(6) NOT NULL,
  KEY instance_events_instance (instance_id, id),
  CONSTRAINT instance_events_instance FOREIGN KEY (instance_id) REFERENCES instances (id) ON DELETE CASCADE
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
