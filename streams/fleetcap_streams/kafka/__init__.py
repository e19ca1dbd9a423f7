"""The only part of the streams package that touches Kafka: batches in, one checkpoint out."""
