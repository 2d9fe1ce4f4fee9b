ALTER TABLE account_quotas DROP COLUMN applications, DROP COLUMN app_cpu_millis, DROP COLUMN app_memory_mb;
