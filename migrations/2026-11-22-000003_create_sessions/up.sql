CREATE TABLE sessions (
  -- SHA-256 of the key in the cookie: who reads this table can't use it to sign in.
  key_hash BINARY(32) NOT NULL PRIMARY KEY,
  account_id BINARY(16) NULL,
  state TEXT NOT NULL,
  created_at DATETIME(6) NOT NULL,
  expires_at DATETIME(6) NOT NULL,
  KEY sessions_account (account_id),
  KEY sessions_expires (expires_at),
  CONSTRAINT sessions_account FOREIGN KEY (account_id) REFERENCES accounts (id) ON DELETE CASCADE
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
