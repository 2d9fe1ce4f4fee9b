ALTER TABLE account_quotas DROP KEY account_quotas_touched, DROP COLUMN touched_at;
