"""The bus: topics between services, the same promises over PostgreSQL and over Kafka."""
