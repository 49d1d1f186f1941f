"""What a task asks about an item: templates over its columns, and the turns that they make. Pure: no files."""
