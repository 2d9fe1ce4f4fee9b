ALTER TABLE account_quotas
  -- NULL: the configuration's default
  ADD COLUMN applications INT UNSIGNED NULL,
  ADD COLUMN app_cpu_millis INT UNSIGNED NULL,
  ADD COLUMN app_memory_mb INT UNSIGNED NULL;
