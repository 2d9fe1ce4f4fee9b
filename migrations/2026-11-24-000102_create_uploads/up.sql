CREATE TABLE uploads (
  id BINARY(16) NOT NULL PRIMARY KEY,
  account_id BINARY(16) NOT NULL,
  bucket_id BINARY(16) NOT NULL,
  object_key VARBINARY(1024) NOT NULL,
  -- SHA-256 of the name
  key_hash BINARY(32) NOT NULL,
  -- While a large file gets another name: the other of the two, which may have its segments as well
  other_key VARBINARY(1024) NULL,
  -- What its sender calls this upload, hashed: who tries again takes the place of the try before
  attempt BINARY(32) NULL,
  -- receiving: bytes are on their way; large: it is there, in segments under this id; discarded: its segments go
  state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  -- 1 while receiving, else NULL: one upload at a time for a name
  receiving TINYINT UNSIGNED NULL,
  -- Bytes that are kept free for it of the account's quota
  reserved BIGINT UNSIGNED NOT NULL,
  -- Whether it may have written segments
  in_segments BOOLEAN NOT NULL,
  -- Renewed while bytes come: after that its process is dead
  leased_until DATETIME(6) NOT NULL,
  created_at DATETIME(6) NOT NULL,
  UNIQUE KEY uploads_receiving (bucket_id, key_hash, receiving),
  KEY uploads_key (bucket_id, key_hash),
  KEY uploads_account (account_id, state),
  KEY uploads_state (state, leased_until),
  CONSTRAINT uploads_account_row FOREIGN KEY (account_id) REFERENCES accounts (id),
  CONSTRAINT uploads_bucket FOREIGN KEY (bucket_id) REFERENCES buckets (id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
