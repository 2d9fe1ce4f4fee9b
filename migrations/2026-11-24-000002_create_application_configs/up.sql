CREATE TABLE application_configs (
  application_id BINARY(16) NOT NULL,
  -- 1, 2, 3 …: a row for each deployment
  revision INT UNSIGNED NOT NULL,
  -- As the person wrote it, and with registry, repository and tag or digest in full
  image VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  image_reference VARCHAR(768) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  pull_always BOOLEAN NOT NULL,
  external_port SMALLINT UNSIGNED NOT NULL,
  internal_port SMALLINT UNSIGNED NOT NULL,
  -- Ports that the image names (EXPOSE), as JSON
  exposed_ports VARCHAR(255) NOT NULL,
  -- Plain environment variables, as JSON: [[name, value], …]
  variables MEDIUMTEXT NOT NULL,
  -- Names of the secret ones, as JSON; their values are in the cluster only
  secret_names TEXT NOT NULL,
  -- Values on their way to the cluster, encrypted with the portal's secret; NULL once they are there
  pending_secrets MEDIUMBLOB NULL,
  created_at DATETIME(6) NOT NULL,
  PRIMARY KEY (application_id, revision),
  CONSTRAINT application_configs_application FOREIGN KEY (application_id) REFERENCES applications (id) ON DELETE CASCADE
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
