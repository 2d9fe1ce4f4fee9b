ALTER TABLE account_quotas DROP COLUMN buckets, DROP COLUMN storage_mb;
