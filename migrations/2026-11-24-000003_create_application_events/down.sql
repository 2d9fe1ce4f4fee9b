DROP TABLE application_events;
