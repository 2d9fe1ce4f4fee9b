CREATE TABLE bucket_tokens (
  id BINARY(16) NOT NULL PRIMARY KEY,
  account_id BINARY(16) NOT NULL,
  bucket_id BINARY(16) NOT NULL,
  -- Whether files may be put in and deleted, too
  writes BOOLEAN NOT NULL,
  last_at DATETIME(6) NULL,
  created_at DATETIME(6) NOT NULL,
  expires_at DATETIME(6) NOT NULL,
  KEY bucket_tokens_bucket (bucket_id, id),
  KEY bucket_tokens_expired (expires_at),
  CONSTRAINT bucket_tokens_account FOREIGN KEY (account_id) REFERENCES accounts (id),
  CONSTRAINT bucket_tokens_bucket_row FOREIGN KEY (bucket_id) REFERENCES buckets (id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
