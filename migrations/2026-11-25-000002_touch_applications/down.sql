ALTER TABLE applications DROP KEY applications_touched, DROP COLUMN touched_at;
