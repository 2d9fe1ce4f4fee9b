DROP TABLE bucket_tokens;
