"""What the embedded broker is made of: its pom, its logging configuration and the fetching of its jars."""
