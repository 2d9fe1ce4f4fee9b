DROP TABLE cluster_strays;
