DROP TABLE instance_templates;
