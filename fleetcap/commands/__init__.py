"""What each command does, given its settings; `cli` says how they are called."""
