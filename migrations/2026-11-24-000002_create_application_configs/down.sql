DROP TABLE application_configs;
