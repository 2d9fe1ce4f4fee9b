ALTER TABLE account_quotas
  -- NULL: the configuration's default
  ADD COLUMN buckets INT UNSIGNED NULL,
  ADD COLUMN storage_mb INT UNSIGNED NULL;
