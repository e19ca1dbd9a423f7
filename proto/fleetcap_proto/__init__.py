"""The schemas of every topic, the code generated from them, and the topics' names."""
