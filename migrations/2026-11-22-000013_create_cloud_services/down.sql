DROP TABLE cloud_services;
