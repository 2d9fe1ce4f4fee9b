CREATE TABLE instance_templates (
  id BINARY(16) NOT NULL PRIMARY KEY,
  name VARCHAR(64) NOT NULL,
  purpose_ko VARCHAR(128) NOT NULL,
  purpose_en VARCHAR(128) NOT NULL,
  -- Names or ids, as the cloud knows them
  image VARCHAR(255) NOT NULL,
  flavor VARCHAR(255) NOT NULL,
  -- Empty: the cloud's only tenant network
  network VARCHAR(255) NOT NULL,
  -- Empty: no floating address
  floating_network VARCHAR(255) NOT NULL,
  -- Comma-separated
  security_groups VARCHAR(255) NOT NULL,
  -- Empty: the person's own key
  key_pair VARCHAR(255) NOT NULL,
  ssh_user VARCHAR(32) NOT NULL,
  user_data TEXT NOT NULL,
  vcpus INT UNSIGNED NOT NULL,
  ram_mb INT UNSIGNED NOT NULL,
  disk_gb INT UNSIGNED NOT NULL,
  swap_mb INT UNSIGNED NOT NULL,
  position INT NOT NULL,
  enabled BOOLEAN NOT NULL,
  created_at DATETIME(6) NOT NULL,
  updated_at DATETIME(6) NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
