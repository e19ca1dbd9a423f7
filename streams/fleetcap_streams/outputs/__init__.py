"""Values of the engine as records of the output topics, as the reference's text and hex forms, and as JSON lines."""
