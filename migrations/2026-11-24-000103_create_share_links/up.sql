CREATE TABLE share_links (
  id BINARY(16) NOT NULL PRIMARY KEY,
  account_id BINARY(16) NOT NULL,
  bucket_id BINARY(16) NOT NULL,
  object_key VARBINARY(1024) NOT NULL,
  downloads BIGINT UNSIGNED NOT NULL DEFAULT 0,
  last_at DATETIME(6) NULL,
  created_at DATETIME(6) NOT NULL,
  expires_at DATETIME(6) NOT NULL,
  KEY share_links_bucket (bucket_id, id),
  KEY share_links_expired (expires_at),
  CONSTRAINT share_links_account FOREIGN KEY (account_id) REFERENCES accounts (id),
  CONSTRAINT share_links_bucket_row FOREIGN KEY (bucket_id) REFERENCES buckets (id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
