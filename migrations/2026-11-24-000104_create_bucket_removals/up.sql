CREATE TABLE bucket_removals (
  id BINARY(16) NOT NULL PRIMARY KEY,
  account_id BINARY(16) NOT NULL,
  bucket_id BINARY(16) NOT NULL,
  -- The folder, with its / at the end
  prefix VARBINARY(1024) NOT NULL,
  removed BIGINT UNSIGNED NOT NULL DEFAULT 0,
  -- Why it does not go on
  error VARCHAR(1000) NULL,
  created_at DATETIME(6) NOT NULL,
  ended_at DATETIME(6) NULL,
  KEY bucket_removals_open (bucket_id, ended_at),
  CONSTRAINT bucket_removals_account FOREIGN KEY (account_id) REFERENCES accounts (id),
  CONSTRAINT bucket_removals_bucket FOREIGN KEY (bucket_id) REFERENCES buckets (id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
