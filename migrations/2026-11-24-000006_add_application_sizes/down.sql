ALTER TABLE applications
  DROP KEY applications_look_at,
  DROP COLUMN look_at,
  DROP COLUMN memory_mb,
  DROP COLUMN cpu_millis,
  DROP COLUMN deployed_revision;
