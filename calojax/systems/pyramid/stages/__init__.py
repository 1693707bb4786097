"""One module per stage, each with `init`, `log_probability` of true showers (teacher forcing) and `draw`."""
