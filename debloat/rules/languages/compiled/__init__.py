"""Programs compiled to machine code: the paths and programs that stand in their texts."""
