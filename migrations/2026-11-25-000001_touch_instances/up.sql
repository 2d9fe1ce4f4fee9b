-- When the row was last written, by the database's own clock and whoever wrote it: how open pages learn of it.
ALTER TABLE instances
  ADD COLUMN touched_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  ADD KEY instances_touched (touched_at);
