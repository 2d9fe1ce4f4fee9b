ALTER TABLE instances DROP KEY instances_touched, DROP COLUMN touched_at;
