ALTER TABLE bucket_removals DROP KEY bucket_removals_touched, DROP COLUMN touched_at;
