ALTER TABLE buckets DROP KEY buckets_touched, DROP COLUMN touched_at;
