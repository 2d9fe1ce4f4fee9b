DROP TABLE bucket_removals;
