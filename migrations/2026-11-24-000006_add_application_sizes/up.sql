ALTER TABLE applications
  -- The revision that the cluster has taken whole; NULL: none yet, nothing of it is in the cluster
  ADD COLUMN deployed_revision INT UNSIGNED NULL AFTER revision,
  -- What one replica may use, as it was when it was ordered: thousandths of a processor, and memory
  ADD COLUMN cpu_millis INT UNSIGNED NOT NULL AFTER size,
  ADD COLUMN memory_mb INT UNSIGNED NOT NULL AFTER cpu_millis,
  -- When what the cluster said last is to be judged anew, because of the time that has passed since
  ADD COLUMN look_at DATETIME(6) NULL AFTER since,
  ADD KEY applications_look_at (look_at);
