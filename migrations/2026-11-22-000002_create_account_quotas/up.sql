CREATE TABLE account_quotas (
  account_id BINARY(16) NOT NULL PRIMARY KEY,
  -- NULL: the configuration's default
  instances INT UNSIGNED NULL,
  vcpus INT UNSIGNED NULL,
  ram_mb INT UNSIGNED NULL,
  CONSTRAINT account_quotas_account FOREIGN KEY (account_id) REFERENCES accounts (id) ON DELETE CASCADE
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
