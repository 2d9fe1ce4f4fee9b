ALTER TABLE application_configs
  -- As in applications, of this revision
  ADD COLUMN replicas INT UNSIGNED NOT NULL AFTER internal_port,
  ADD COLUMN size VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL AFTER replicas,
  ADD COLUMN cpu_millis INT UNSIGNED NOT NULL AFTER size,
  ADD COLUMN memory_mb INT UNSIGNED NOT NULL AFTER cpu_millis;
