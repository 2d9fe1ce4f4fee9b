ALTER TABLE application_configs
  DROP COLUMN memory_mb,
  DROP COLUMN cpu_millis,
  DROP COLUMN size,
  DROP COLUMN replicas;
