"""What the command line does, one module per task; `cli` has the flags."""
