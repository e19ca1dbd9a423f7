"""How decoded traffic looks: a table for people, JSON lines for programs, the reference's text and hex.

Each form is a `Printer`, fed with messages of the schema, whether they come from Kafka or straight from the engine.
"""
