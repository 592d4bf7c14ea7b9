"""What users can type: one module per noun. A command is a thin function; decisions about the domain belong below."""
